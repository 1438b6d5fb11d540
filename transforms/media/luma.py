"""The brightness of a frame's pixels, in three sizes, each made at most once per frame.

Luma is told on one scale whatever the frame's colour range: 0 is black and 255 is white, as in a
full-range picture. In limited range (16 to 235, every video that is not tagged as full) a stored
value y means ``round((y - 16) * 255 / 219)``, cut to 0 and 255; more than 8 bits are cut to 8.
"""

from __future__ import annotations

from typing import cast

import av
import numpy as np
from av.video.reformatter import ColorRange, VideoReformatter
from numpy.typing import NDArray

from transforms.media.scaling import EXACT_BICUBIC

Picture = NDArray[np.uint8]

GRID_SIDE = 160
"""A grid has every n-th pixel of every n-th row, with the n that leaves at least so many along the
longer side; of a smaller picture it has every pixel."""
SMALL_SIDE = 180
"""A small picture has the mean of every box of n x n pixels, with the largest n that leaves at
least so many pixels on the shorter side: 180 of 360, 540, 720, 1080 and 2160; 240 of 480. A picture
below 360 stays as it is."""
SAMPLED_PER_SECOND = 2.0
"""What needs more than the grid is measured on the frames 0, s, 2 s, ... of this rate."""

_FULL = np.arange(256, dtype=np.uint8)
_LIMITED = np.clip((np.arange(256) - 16) * 510 // 219 + 1 >> 1, 0, 255).astype(np.uint8)


class LumaReader:
    """Makes the ``Luma`` of each frame of one clip; all frames have one size and format."""

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()

    def read(self, frame: av.VideoFrame) -> Luma:
        """Return the frame's luma; nothing is computed yet."""
        return Luma(frame, self._reformatter)


class Luma:
    """The luma of one frame. Must not be kept longer than the frame."""

    def __init__(self, frame: av.VideoFrame, reformatter: VideoReformatter) -> None:
        self._frame = frame
        self._reformatter = reformatter
        self._stored: NDArray[np.uint8] | NDArray[np.uint16] | None = None
        self._grid: Picture | None = None
        self._bits = 8

    @property
    def scale(self) -> Picture:
        """What each stored 8-bit value means on the scale from 0 to 255. Shape (256,)."""
        return _FULL if _is_full_range(self._frame) else _LIMITED

    @property
    def grid(self) -> Picture:
        """Every n-th pixel of every n-th row, on the scale from 0 to 255; see ``GRID_SIDE``."""
        if self._grid is None:
            stored = self._plane()
            step = max(1, max(stored.shape) // GRID_SIDE)
            self._grid = self.scale[self._in_8_bits(stored[step // 2 :: step, step // 2 :: step])]
        return self._grid

    @property
    def stored(self) -> Picture:
        """All pixels as stored, cut to 8 bits; not yet on the scale. Shape (height, width)."""
        return self._in_8_bits(self._plane())

    @property
    def small(self) -> Picture:
        """The picture shrunk by averaging, on the scale from 0 to 255; see ``SMALL_SIDE``."""
        factor = max(1, min(self._frame.width, self._frame.height) // SMALL_SIDE)
        return self.scale[box_means(self.stored, factor)]

    def _plane(self) -> NDArray[np.uint8] | NDArray[np.uint16]:
        if self._stored is None:
            self._stored, self._bits = self._read_plane()
        return self._stored

    def _read_plane(self) -> tuple[NDArray[np.uint8] | NDArray[np.uint16], int]:
        """Return the luma plane and its bits per pixel; formats without one are converted."""
        described = self._frame.format
        bits = described.components[0].bits
        if described.is_planar and not described.is_rgb and not described.is_big_endian:
            if bits == 8:
                return _first_plane(self._frame), 8
            if bits in (10, 12) and described.name.endswith("le") and "p01" not in described.name:
                return _first_wide_plane(self._frame), bits
        plain = self._reformatter.reformat(
            self._frame, format="yuv420p", interpolation=EXACT_BICUBIC, threads=1
        )
        return _first_plane(plain), 8

    def _in_8_bits(self, stored: NDArray[np.uint8] | NDArray[np.uint16]) -> Picture:
        if self._bits == 8:
            return cast(Picture, stored)
        return (stored >> (self._bits - 8)).astype(np.uint8)


def box_means(values: Picture, side: int) -> Picture:
    """Return the mean of each box of ``side`` x ``side`` values, rounded, halves up.

    What does not fill a box at the right and lower edge is left out. In whole numbers: the same
    on every processor.
    """
    if side == 1:
        return values
    height, width = (length // side * side for length in values.shape)
    # Whole rows first: most of the work is then on values that lie side by side.
    rows = values[0:height:side, :width].astype(np.uint16)
    for offset in range(1, side):
        rows += values[offset:height:side, :width]
    sums = rows[:, 0::side].astype(np.uint32)
    for offset in range(1, side):
        sums += rows[:, offset::side]
    return ((2 * sums + side * side) // (2 * side * side)).astype(np.uint8)


def sample_step(fps: float) -> int:
    """Return every how many frames a clip is sampled: about two frames per second.

    Args:
        fps: Frames per second; 0 when unknown: then every frame is.
    """
    return max(1, round(fps / SAMPLED_PER_SECOND))


def _is_full_range(frame: av.VideoFrame) -> bool:
    return frame.format.name.startswith("yuvj") or frame.color_range == ColorRange.JPEG


def _first_plane(frame: av.VideoFrame) -> Picture:
    """Return a view of the first plane of 8-bit values. Shape (height, width)."""
    plane = frame.planes[0]
    values = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    return values[: frame.height, : frame.width]


def _first_wide_plane(frame: av.VideoFrame) -> NDArray[np.uint16]:
    """Return a view of the first plane of values of two bytes. Shape (height, width)."""
    plane = frame.planes[0]
    values = np.frombuffer(memoryview(plane), "<u2").reshape(-1, plane.line_size // 2)
    return values[: frame.height, : frame.width]
