"""Pictures as three planes (YUV 4:2:0, 8 bit, limited range, BT.709) and mixing of two of them."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.uint8]


class Planes(NamedTuple):
    """One picture: luma (H, W) and two colour planes (H/2, W/2), uint8; H and W are even."""

    y: Plane
    u: Plane
    v: Plane


BLACK_LEVELS = (16, 128, 128)


def new_planes(width: int, height: int) -> Planes:
    """Return a black picture of ``width`` x ``height`` px.

    Raises:
        ValueError: A side is odd or not positive.
    """
    if width <= 0 or height <= 0 or width % 2 or height % 2:
        raise ValueError(f"a picture needs positive even sides, got {width} x {height} px")
    y, u, v = BLACK_LEVELS
    half = (height // 2, width // 2)
    return Planes(
        np.full((height, width), y, np.uint8),
        np.full(half, u, np.uint8),
        np.full(half, v, np.uint8),
    )


def copy_planes(target: Planes, source: Planes) -> None:
    """Copy every pixel of ``source`` into ``target``; both have the same size."""
    for into, plane in zip(target, source, strict=True):
        np.copyto(into, plane)


def mix_planes(target: Planes, other: Planes, *, weight: float) -> None:
    """Replace ``target`` by a mix: ``weight`` in [0, 1] of ``other``, the rest of itself."""
    share = round(weight * 256)
    for into, plane in zip(target, other, strict=True):
        into[...] = _weighted(into, plane, share)


def darken_planes(target: Planes, *, weight: float) -> None:
    """Mix ``weight`` in [0, 1] of black into ``target``."""
    share = round(weight * 256)
    for into, level in zip(target, BLACK_LEVELS, strict=True):
        into[...] = _weighted(into, np.uint8(level), share)


def _weighted(first: Plane, second: Plane | np.uint8, share: int) -> Plane:
    mixed = first * np.uint16(256 - share) + second * np.uint16(share)
    return (mixed >> 8).astype(np.uint8)
