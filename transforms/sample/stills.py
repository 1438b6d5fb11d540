"""Pictures in which nothing moves: a table with things on it, a test card, a night, a poster."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from transforms.sample import textures
from transforms.sample.bitmap_font import text_mask
from transforms.sample.colours import add_light, colour_ramp, paint_field, paint_index, to_yuv
from transforms.sample.noise import fractal_noise
from transforms.sample.planes import Planes, copy_planes
from transforms.sample.skylines import valley
from transforms.sample.sprites import marble, stamp
from transforms.sample.textures import Size

StillPainter = Callable[[np.random.Generator, Size], Planes]


def table(rng: np.random.Generator, size: Size) -> Planes:
    """Return a room: a wall with a framed picture, a table with balls on it."""
    width, height = size
    wall = int(rng.integers(120, 180))
    rows = np.arange(height, dtype=np.float32)[:, None] / height + np.zeros((1, width), np.float32)
    ramp = colour_ramp(
        [
            (0, (wall + 40, wall + 30, wall)),
            (0.67, (wall, wall - 8, wall - 20)),
            (0.68, (120, 78, 46)),
            (1, (74, 44, 26)),
        ]
    )
    room = paint_field(rows, ramp)
    wood = fractal_noise(rng, shape=(height, width), cells=(24, 3), octaves=3)
    room = room._replace(
        y=add_light(room.y, (wood - np.float32(0.5)) * np.where(rows > 0.675, 50, 6))
    )
    _hang_picture(rng, room)
    for place in (0.14, 0.36, 0.63):
        ball = marble(round(min(size) * rng.uniform(0.14, 0.22)), 255 * rng.uniform(0.2, 0.9, 3))
        stamp(room, ball, x=round(place * width), y=round(height * 0.78) - ball.size[1] * 3 // 4)
    return room


def card(rng: np.random.Generator, size: Size) -> Planes:
    """Return a test card: colour bars above a grey ramp, and a number."""
    width, height = size
    bars = np.array([[191 * (7 - bar >> bit & 1) for bit in (1, 2, 0)] for bar in range(8)])
    across = np.arange(width) * 8 // width
    index = np.broadcast_to(across, (height, width)).copy()
    low = slice(round(height * 0.7) // 2 * 2, height)
    index[low] = 8 + np.arange(width) * 16 // width
    greys = np.repeat(np.linspace(16, 240, 16)[:, None], 3, axis=1)
    picture = paint_index(index, to_yuv(np.concatenate([bars, greys])))
    _write(picture, f"CAMERA {int(rng.integers(1, 10))}", top=0.78, share=0.5)
    return picture


def night(rng: np.random.Generator, size: Size) -> Planes:
    """Return the moon over black hills; very dark."""
    picture = textures.stars(rng, size)
    picture = picture._replace(y=(picture.y * np.float32(0.6) + 6).astype(np.uint8))
    moon = marble(round(min(size) * 0.16), np.array([236, 230, 206.0]))
    stamp(picture, moon, x=round(size[0] * rng.uniform(0.55, 0.75)), y=round(size[1] * 0.16))
    for layer in valley(rng, size)[2:]:
        shadow = Planes(*(np.empty_like(plane) for plane in picture))
        copy_planes(shadow, picture)
        layer.paint(shadow, 0)
        covered = layer.opaque[:, : size[0]]
        picture.y[covered] = 16 + (shadow.y[covered] >> 4)
        picture.u[covered[::2, ::2]] = 132
        picture.v[covered[::2, ::2]] = 126
    return picture


def poster(rng: np.random.Generator, size: Size) -> Planes:
    """Return a title on a soft coloured ground, as between two chapters."""
    ground = fractal_noise(rng, shape=size[::-1], cells=(2, 2), octaves=2)
    hue = rng.uniform(0.2, 0.7, 3) * 200
    dark, light = (tuple(int(c) for c in colour) for colour in (hue * 0.45, hue))
    picture = paint_field(ground, colour_ramp([(0, dark), (1, light)]))  # type: ignore[list-item]
    _write(picture, f"CHAPTER {int(rng.integers(1, 100))}", top=0.36, share=0.66)
    _write(picture, "A SAMPLE OF SCENES", top=0.56, share=0.5)
    return picture


STILLS: dict[str, StillPainter] = {"table": table, "card": card, "night": night, "poster": poster}
"""Every scene in which nothing moves, by name."""


def _hang_picture(rng: np.random.Generator, room: Planes) -> None:
    """Hang a framed view of a coast on the wall."""
    height, width = room.y.shape
    inner = (width * 3 // 10 // 2 * 2, height * 3 // 10 // 2 * 2)
    left, top = width * 6 // 10 // 2 * 2, height * 12 // 100 // 2 * 2
    view = textures.coast(rng, inner)
    frame = max(2, min(width, height) // 60 // 2 * 2)
    for share, plane, inside, shade in zip((1, 2, 2), room, view, (60, 122, 134), strict=True):
        edge, x, y = frame // share, left // share, top // share
        rows, columns = inside.shape
        plane[y - edge : y + rows + edge, x - edge : x + columns + edge] = shade
        plane[y : y + rows, x : x + columns] = inside


def _write(picture: Planes, text: str, *, top: float, share: float) -> None:
    """Write ``text`` in white with a shadow, in the middle, ``share`` of the width wide."""
    height, width = picture.y.shape
    dot = max(1, round(width * share / (6 * len(text))))
    ink = text_mask(text, dot_px=dot)
    x, y = max(0, (width - ink.shape[1]) // 2), round(height * top)
    for shift, luma in ((max(1, dot // 2), 24), (0, 228)):
        place: NDArray[np.uint8] = picture.y[y + shift : y + shift + ink.shape[0], x + shift :]
        place = place[:, : ink.shape[1]]
        place[ink[: place.shape[0], : place.shape[1]]] = luma
