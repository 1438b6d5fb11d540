"""Things that move over a scene: marbles, balloons, boats; with soft edges."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from transforms.sample.colours import to_yuv
from transforms.sample.planes import Planes

Opacity = NDArray[np.uint16]


@dataclass(frozen=True)
class Sprite:
    """A small picture with an opacity of 0 to 256 for each luma and each colour pixel."""

    planes: Planes
    opacity: Opacity
    half_opacity: Opacity

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in px."""
        height, width = self.opacity.shape
        return width, height


def stamp(canvas: Planes, sprite: Sprite, *, x: int, y: int) -> None:
    """Draw ``sprite`` with its top left corner at (``x``, ``y``) px; what sticks out is cut off."""
    _stamp_plane(canvas.y, sprite.planes.y, sprite.opacity, (x, y))
    for into, plane in ((canvas.u, sprite.planes.u), (canvas.v, sprite.planes.v)):
        _stamp_plane(into, plane, sprite.half_opacity, (x // 2, y // 2))


def make_sprite(rgb: NDArray[np.floating], opacity: NDArray[np.floating]) -> Sprite:
    """Return a sprite of ``rgb`` (H, W, 3) in [0, 255] and ``opacity`` (H, W) in [0, 1].

    H and W are even.
    """
    yuv = to_yuv(np.asarray(rgb, dtype=np.float64))
    share = np.rint(np.clip(opacity, 0, 1) * 256).astype(np.uint16)
    planes = Planes(yuv[..., 0], yuv[::2, ::2, 1], yuv[::2, ::2, 2])
    return Sprite(planes, share, share[::2, ::2])


def marble(diameter: int, rgb: NDArray[np.floating]) -> Sprite:
    """Return a shiny ball of about ``diameter`` px with its shadow on the floor."""
    y, x, distance = _disc(diameter, spread=1.35)
    inside = np.clip((1 - distance) * diameter / 2, 0, 1)
    facing = np.clip(1 - distance**2, 0, 1) ** 0.5
    light = np.clip(0.25 + 0.75 * (0.55 * facing - 0.45 * x - 0.5 * y), 0.12, 1.0)
    shine = np.clip(1 - ((x + 0.35) ** 2 + (y + 0.4) ** 2) * 14, 0, 1)
    shadow = np.clip(1.5 - 1.4 * ((x - 0.16) ** 2 + (y - 0.2) ** 2) ** 0.5, 0, 0.5)
    body = rgb * light[..., None] * (1 - shine[..., None]) + 255 * shine[..., None]
    return make_sprite(body * inside[..., None], np.maximum(inside, shadow))


def balloon(diameter: int, rgb: NDArray[np.floating]) -> Sprite:
    """Return a striped hot-air balloon about ``diameter`` px wide with a basket below it."""
    sides = _even(diameter * 1.1), _even(diameter * 1.6)
    y = (np.arange(sides[1]) / diameter * 2 - 1.05)[:, None]
    x = (np.arange(sides[0]) / diameter * 2 - 1.1)[None, :]
    # Below its middle the envelope narrows towards the basket.
    width = np.where(
        y < 0, np.clip(1 - y**2, 0, 1) ** 0.5, np.clip(1 - (y / 1.45) ** 2, 0, 1) ** 0.9
    )
    around = np.clip(x / np.maximum(width, 0.05), -1, 1)
    stripe = (np.floor((np.arcsin(around) / np.pi + 0.5) * 7) % 2)[..., None]
    light = np.clip(0.95 - 0.35 * around - 0.2 * y, 0.3, 1.05)[..., None]
    body = (rgb * (1 - stripe) + np.array([250, 244, 226]) * stripe) * light
    basket = (np.abs(x) < 0.17) & (y > 1.62) & (y < 1.95)
    ropes = (np.abs(np.abs(x) - 0.15) < 0.03) & (y > 1.1) & (y < 1.7)
    body = np.where((basket | ropes)[..., None], np.array([110, 76, 48]), body)
    envelope = np.clip((width - np.abs(x)) * diameter / 2, 0, 1) * (y < 1.4)
    return make_sprite(np.clip(body, 0, 255), np.maximum(envelope, basket | ropes))


def sailboat(length: int, rgb: NDArray[np.floating]) -> Sprite:
    """Return a boat with two sails, about ``length`` px long, and its reflection."""
    sides = _even(length), _even(length * 1.3)
    y = (np.arange(sides[1]) / length)[:, None]
    x = (np.arange(sides[0]) / length)[None, :]
    hull = (y > 0.92) & (y < 1.08) & (x > 0.04 + (y - 0.92) * 0.7) & (x < 0.98 - (y - 0.92) * 1.2)
    main = (x > 0.42) & (y < 0.9) & (x < 0.42 + y * 0.52)
    jib = (x < 0.39) & (y < 0.9) & (y > 0.08) & (x > 0.39 - (y - 0.08) * 0.42)
    reflection = (y >= 1.08) & (y < 1.26) & (np.abs(x - 0.5) < 0.42 - (y - 1.08) * 1.2)
    body = np.zeros((sides[1], sides[0], 3)) + np.array([16, 60, 80])
    body[main] = (250, 248, 240)
    body[jib] = rgb
    body[hull] = (120, 52, 40)
    opacity = np.where(reflection, 0.4, 0.0)
    opacity[main | jib | hull] = 1.0
    return make_sprite(body, opacity)


def _stamp_plane(
    into: NDArray[np.uint8], plane: NDArray[np.uint8], opacity: Opacity, corner: tuple[int, int]
) -> None:
    x, y = corner
    height, width = plane.shape
    left, top = max(0, -x), max(0, -y)
    right, bottom = min(width, into.shape[1] - x), min(height, into.shape[0] - y)
    if left >= right or top >= bottom:
        return
    part = np.s_[top:bottom, left:right]
    place = into[y + top : y + bottom, x + left : x + right]
    share = opacity[part]
    place[...] = (place * (256 - share) + plane[part] * share) >> 8


def _disc(
    diameter: int, *, spread: float
) -> tuple[NDArray[np.floating], NDArray[np.floating], NDArray[np.floating]]:
    """Return y, x and distance from the middle in radii, on a square ``spread`` diameters wide."""
    side = _even(diameter * spread)
    line = (np.arange(side) + 0.5 - diameter / 2) / (diameter / 2)
    y, x = line[:, None], line[None, :]
    return y, x, (x**2 + y**2) ** 0.5


def _even(length: float) -> int:
    return 2 * round(length / 2)
