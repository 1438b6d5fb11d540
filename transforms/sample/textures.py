"""Pictures that repeat without a seam, over which the camera of a scene moves."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from transforms.sample.colours import Stop, add_light, colour_ramp, paint_field, paint_index, to_yuv
from transforms.sample.noise import Field, fractal_noise, relief, smooth_noise
from transforms.sample.planes import Planes

Size = tuple[int, int]
"""Width and height of the picture in px, both even."""


@dataclass(frozen=True)
class Texture:
    """A picture and its repetition to the right and below, so that every window is one slice."""

    planes: Planes
    """The repeated picture: a period plus a window in each direction."""
    period: Size
    """Width and height in px after which the picture repeats, both even."""

    def window(self, x: int, y: int, size: Size) -> Planes:
        """Return views of the ``size`` window whose top left corner is at (``x``, ``y``) px."""
        x, y = x % self.period[0], y % self.period[1]
        width, height = size
        half = np.s_[y // 2 : y // 2 + height // 2, x // 2 : x // 2 + width // 2]
        luma, u, v = self.planes
        return Planes(luma[y : y + height, x : x + width], u[half], v[half])


def repeat(tile: Planes, size: Size) -> Texture:
    """Return ``tile`` as a texture for windows of ``size`` px."""
    width, height = size

    def extend(plane: NDArray[np.uint8], share: int) -> NDArray[np.uint8]:
        rows = np.concatenate([plane, plane[: height // share]], axis=0)
        return np.concatenate([rows, rows[:, : width // share]], axis=1)

    period = (tile.y.shape[1], tile.y.shape[0])
    return Texture(Planes(extend(tile.y, 1), extend(tile.u, 2), extend(tile.v, 2)), period)


def cells(size: Size, number: int) -> tuple[int, int]:
    """Return noise cells (down, across) with ``number`` along the short side, nearly square."""
    width, height = size
    cell = min(size) / number
    return max(1, round(height / cell)), max(1, round(width / cell))


def coast(rng: np.random.Generator, size: Size) -> Planes:
    """Return land and sea from above."""
    height = fractal_noise(rng, shape=size[::-1], cells=cells(size, 3), octaves=6)
    stops: list[Stop] = [
        (0.0, (8, 40, 92)),
        (0.36, (24, 104, 150)),
        (0.44, (96, 190, 190)),
        (0.47, (236, 218, 166)),
        (0.51, (150, 176, 86)),
        (0.62, (58, 124, 62)),
        (0.76, (44, 86, 54)),
        (0.86, (126, 112, 98)),
        (0.95, (240, 242, 246)),
    ]
    picture = paint_field(height, colour_ramp(stops))
    light = relief(np.maximum(height, np.float32(0.45)), strength=12)
    ripple = relief(smooth_noise(rng, shape=size[::-1], cells=cells(size, 40)), strength=0.35)
    return picture._replace(y=add_light(picture.y, light + ripple))


def clouds(rng: np.random.Generator, size: Size) -> Planes:
    """Return a sky full of clouds; its blue and the hour of the day vary with ``rng``."""
    field = fractal_noise(rng, shape=size[::-1], cells=cells(size, 3), octaves=6)
    skies: list[list[Stop]] = [
        [
            (0, (52, 120, 206)),
            (0.42, (120, 178, 232)),
            (0.62, (236, 242, 248)),
            (1, (255, 255, 255)),
        ],
        [(0, (84, 70, 140)), (0.4, (206, 112, 120)), (0.62, (252, 190, 130)), (1, (255, 240, 214))],
        [(0, (70, 84, 106)), (0.4, (118, 132, 150)), (0.62, (172, 180, 188)), (1, (232, 234, 236))],
    ]
    picture = paint_field(field, colour_ramp(skies[int(rng.integers(len(skies)))]))
    return picture._replace(y=add_light(picture.y, relief(field, strength=1.5)))


def sea(rng: np.random.Generator, size: Size) -> Planes:
    """Return waves with light on their crests, wide and low."""
    down, across = cells(size, 5)
    waves = fractal_noise(rng, shape=size[::-1], cells=(down * 3, across), octaves=4)
    seas: list[list[Stop]] = [
        [(0, (4, 42, 74)), (0.5, (16, 98, 128)), (0.8, (70, 166, 178)), (1, (224, 246, 240))],
        [(0, (44, 34, 74)), (0.5, (128, 72, 104)), (0.8, (226, 138, 104)), (1, (255, 226, 180))],
        [(0, (14, 56, 52)), (0.5, (40, 112, 96)), (0.8, (118, 180, 144)), (1, (236, 246, 226))],
    ]
    picture = paint_field(waves, colour_ramp(seas[int(rng.integers(len(seas)))]))
    return picture._replace(y=add_light(picture.y, relief(waves, strength=8)))


def bricks(rng: np.random.Generator, size: Size) -> Planes:
    """Return a brick wall, every brick of its own colour."""
    width, height = size
    rows = 2 * max(2, round(9 * height / min(size) / 2))
    columns = max(3, round(5 * width / min(size)))
    y = np.arange(height)[:, None] * np.float32(rows / height)
    x = np.arange(width)[None, :] * np.float32(columns / width) + (y.astype(int) % 2) * np.float32(
        0.5
    )
    brick = y.astype(int) * columns + x.astype(int) % columns
    in_mortar = (y % 1 < 0.13) | (x % 1 < 0.06)
    index = np.where(in_mortar, 255, rng.integers(40, 220, rows * columns)[brick])
    walls: list[list[Stop]] = [
        [(0, (96, 44, 34)), (0.5, (160, 74, 52)), (0.88, (206, 128, 92)), (1, (186, 178, 166))],
        [(0, (84, 88, 92)), (0.5, (132, 134, 130)), (0.88, (188, 182, 168)), (1, (70, 66, 62))],
        [(0, (150, 116, 74)), (0.5, (198, 164, 110)), (0.88, (232, 206, 154)), (1, (128, 106, 84))],
    ]
    picture = paint_index(index, colour_ramp(walls[int(rng.integers(len(walls)))]))
    grain = fractal_noise(rng, shape=(height, width), cells=cells(size, 12), octaves=4)
    edge = np.where((y % 1 < 0.2) & ~in_mortar, np.float32(14), np.float32(0))
    return picture._replace(y=add_light(picture.y, edge + (grain - np.float32(0.5)) * 60))


def tiles(rng: np.random.Generator, size: Size) -> Planes:
    """Return a floor of two-coloured tiles with a little wear."""
    down, across = (2 * max(1, round(n / 2)) for n in cells(size, 6))
    y = np.arange(size[1])[:, None] * np.float32(down / size[1])
    x = np.arange(size[0])[None, :] * np.float32(across / size[0])
    kind = (y.astype(int) + x.astype(int)) % 2
    pairs = [
        ((214, 224, 220), (40, 110, 116)),
        ((238, 222, 190), (176, 84, 66)),
        ((222, 220, 236), (84, 82, 150)),
    ]
    picture = paint_index(kind, to_yuv(np.array(pairs[int(rng.integers(len(pairs)))])))
    joint = np.where((y % 1 < 0.04) | (x % 1 < 0.04), np.float32(-40), np.float32(0))
    wear = fractal_noise(rng, shape=size[::-1], cells=cells(size, 10), octaves=4)
    return picture._replace(y=add_light(picture.y, joint + (wear - np.float32(0.5)) * 50))


def glass(rng: np.random.Generator, size: Size) -> Planes:
    """Return stained glass: a window of coloured panes with dark leading."""
    scale = 1 + min(size) // 720
    width, height = size[0] // scale, size[1] // scale
    panes = round(30 * width * height / min(width, height) ** 2)
    nearest = np.full((height, width), np.inf, dtype=np.float32)
    second = nearest.copy()
    owner = np.zeros((height, width), dtype=np.intp)
    for pane, (y, x) in enumerate(rng.random((panes, 2), dtype=np.float32)):
        square = _wrapped(height, y)[:, None] + _wrapped(width, x)[None, :]
        closer = square < nearest
        second = np.minimum(second, np.maximum(square, nearest))
        nearest = np.minimum(nearest, square)
        owner[closer] = pane
    gap = np.sqrt(second) - np.sqrt(nearest)
    colours = np.concatenate([to_yuv(_bright(rng, panes)), to_yuv((22, 20, 26))[None]])
    index = np.where(gap < min(width, height) * 0.012, panes, owner)
    index = index.repeat(scale, axis=0).repeat(scale, axis=1)
    picture = paint_index(index, colours)
    grain = fractal_noise(rng, shape=index.shape, cells=cells(size, 16), octaves=3)
    return picture._replace(y=add_light(picture.y, (grain - np.float32(0.5)) * 56))


def plasma(rng: np.random.Generator, size: Size) -> Planes:
    """Return soft bands of colour as in old screen savers, over a fine weave."""
    y = np.arange(size[1])[:, None] * (2 * np.pi / size[1])
    x = np.arange(size[0])[None, :] * (2 * np.pi / size[0])
    phase = rng.random(4) * 2 * np.pi
    wave = np.sin(2 * x + phase[0]) + np.sin(2 * y + phase[1]) + np.sin(x + 2 * y + phase[2])
    wave = wave + np.sin(3 * x - y + 2 * np.sin(y) + phase[3])
    first, *others = (tuple(int(c) for c in colour) for colour in _bright(rng, 3))
    stops: list[Stop] = [(0, first), (0.33, others[0]), (0.66, others[1]), (1, first)]  # type: ignore[list-item]
    picture = paint_field((wave * 0.21) % 1.0, colour_ramp(stops))
    weave = smooth_noise(rng, shape=size[::-1], cells=cells(size, 48))
    return picture._replace(y=add_light(picture.y, (weave - np.float32(0.5)) * 30))


def granite(rng: np.random.Generator, size: Size) -> Planes:
    """Return polished stone: coarse patches and fine grains."""
    coarse = fractal_noise(rng, shape=size[::-1], cells=cells(size, 6), octaves=3)
    grain = smooth_noise(rng, shape=size[::-1], cells=cells(size, 90))
    palettes: list[list[Stop]] = [
        [(0, (40, 36, 40)), (0.45, (150, 96, 88)), (0.7, (206, 168, 150)), (1, (246, 234, 226))],
        [(0, (22, 30, 34)), (0.45, (70, 104, 104)), (0.7, (140, 176, 164)), (1, (236, 240, 230))],
    ]
    return paint_field(coarse * 0.6 + grain * 0.4, colour_ramp(palettes[int(rng.integers(2))]))


def stars(rng: np.random.Generator, size: Size) -> Planes:
    """Return a dark sky with a faint nebula and bright stars."""
    nebula = fractal_noise(rng, shape=size[::-1], cells=cells(size, 3), octaves=6)
    stops: list[Stop] = [
        (0, (2, 2, 10)),
        (0.45, (12, 12, 34)),
        (0.75, (52, 30, 76)),
        (1, (120, 66, 96)),
    ]
    picture = paint_field(nebula, colour_ramp(stops))
    dot = 1 + min(size) // 400
    grid = rng.random((size[1] // dot + 1, size[0] // dot + 1), dtype=np.float32)
    light = np.where(grid > 0.997, (grid - np.float32(0.997)) * 66_000, 0)
    light = light.repeat(dot, axis=0).repeat(dot, axis=1)[: size[1], : size[0]]
    dust = smooth_noise(rng, shape=size[::-1], cells=cells(size, 60))
    return picture._replace(y=add_light(picture.y, light + dust * 14))


def _wrapped(length: int, place: float) -> Field:
    """Return squared distances in px from ``place`` in [0, 1) on a ring of ``length`` px."""
    away = np.abs(np.arange(length, dtype=np.float32) - np.float32(place * length))
    return np.minimum(away, length - away) ** 2


def _bright(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    """Return lively RGB colours, hue and depth at random. Shape (count, 3)."""
    hue = (rng.random(count)[:, None] + np.array([0.0, 1 / 3, 2 / 3])) % 1.0
    pure = np.clip(np.abs(hue * 6 - 3) - 1, 0, 1)
    return 255 * (
        0.16 + rng.uniform(0.35, 0.7, (count, 1)) * pure + rng.uniform(0, 0.14, (count, 1))
    )
