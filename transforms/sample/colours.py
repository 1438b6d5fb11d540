"""Colours: RGB to the YUV values that are drawn, and ramps of colours."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from transforms.sample.planes import Plane, Planes

Rgb = tuple[int, int, int]
Stop = tuple[float, Rgb]

_BT709 = np.array(
    [[0.1826, 0.6142, 0.0620], [-0.1006, -0.3386, 0.4392], [0.4392, -0.3989, -0.0403]]
)
_OFFSET = np.array([16.0, 128.0, 128.0])


def to_yuv(rgb: Rgb | NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return (..., 3) limited-range BT.709 YUV of (..., 3) RGB in [0, 255]."""
    values = np.asarray(rgb, dtype=np.float64)
    # A written-out sum, not a matrix product: its rounding does not depend on the BLAS in use.
    yuv = (values[..., None, :] * _BT709).sum(axis=-1) + _OFFSET
    return np.clip(np.rint(yuv), 0, 255).astype(np.uint8)


def colour_ramp(stops: Sequence[Stop]) -> NDArray[np.uint8]:
    """Return 256 YUV colours, straight lines in RGB between ``stops``. Shape (256, 3).

    Args:
        stops: Position in [0, 1] and colour, in increasing order of position.
    """
    places = [place * 255 for place, _ in stops]
    steps = np.arange(256)
    rgb = [np.interp(steps, places, [colour[i] for _, colour in stops]) for i in range(3)]
    return to_yuv(np.stack(rgb, axis=-1))


def paint_field(field: NDArray[np.floating], ramp: NDArray[np.uint8]) -> Planes:
    """Return the picture of a field in [0, 1] in the colours of ``ramp``. Field of shape (H, W)."""
    index = np.clip(field * 255, 0, 255).astype(np.uint8)
    return paint_index(index, ramp)


def paint_index(index: NDArray[np.integer], colours: NDArray[np.uint8]) -> Planes:
    """Return the picture whose pixel (r, c) has the YUV colour ``colours[index[r, c]]``."""
    coarse = index[::2, ::2]
    return Planes(colours[index, 0], colours[coarse, 1], colours[coarse, 2])


def add_light(luma: Plane, light: NDArray[np.floating]) -> Plane:
    """Return ``luma`` brightened by ``light`` (same shape, in luma steps), kept in [16, 235]."""
    return np.clip(luma + light, 16, 235).astype(np.uint8)
