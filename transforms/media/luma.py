"""The brightness of a frame's pixels, in three sizes, each made at most once per frame.

Luma is told on one scale whatever the frame's colour range: 0 is black and 255 is white, as in a
full-range picture. In limited range (16 to 235, every video that is not tagged as full) a stored
value y means ``round((y - 16) * 255 / 219)``, cut to 0 and 255; more than 8 bits are cut to 8.
"""

from __future__ import annotations

from typing import Any, cast

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
"""Shorter side in pixels of a small picture. A picture of less than twice that stays as it is:
boxes of one and of two pixels side by side would add a pattern of their own."""
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
        stored = self.stored
        return self.scale[box_means(stored, small_shape(*stored.shape))]

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


def small_shape(height: int, width: int) -> tuple[int, int]:
    """Return height and width of a small picture.

    Example:
        >>> small_shape(720, 1280), small_shape(480, 854), small_shape(288, 352)
        ((180, 320), (180, 320), (288, 352))
    """
    shorter = min(height, width)
    if shorter < 2 * SMALL_SIDE:
        return height, width
    return height * SMALL_SIDE // shorter, width * SMALL_SIDE // shorter


def box_means(values: Picture, shape: tuple[int, int]) -> Picture:
    """Return the means of the boxes that divide a picture evenly, rounded, halves up.

    Box (i, j) has the rows from ``i * H // h`` and the columns from ``j * W // w`` on, up to where
    the next one begins. In whole numbers: the same on every processor.

    Args:
        values: Shape (H, W).
        shape: Shape (h, w) of what is returned, not larger.
    """
    if values.shape == shape:
        return values
    # Whole rows first: most of the work is then on values that lie side by side.
    rows, num_rows = _stretches(values.shape[0], shape[0])
    columns, num_columns = _stretches(values.shape[1], shape[1])
    sums = _sums(_sums(values, rows, num_rows, np.uint16).T, columns, num_columns, np.uint32).T
    counts = np.outer(num_rows, num_columns).astype(np.uint32)
    if counts.min() == counts.max():
        counts = counts[:1, :1]  # Dividing by one number is several times faster.
    return ((2 * sums + counts) // (2 * counts)).astype(np.uint8)


def _stretches(length: int, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where each of ``count`` stretches begins, and how long it is."""
    edges = np.arange(count + 1) * length // count
    return edges[:-1], np.diff(edges)


def _sums(
    values: NDArray[Any], firsts: NDArray[np.int64], lengths: NDArray[np.int64], dtype: type
) -> NDArray[Any]:
    """Return the sums of stretches of rows. Shape (number of stretches, W)."""
    shortest, count = int(lengths.min()), len(firsts)
    if int(lengths.max()) == shortest:  # Views instead of copies.
        picked = [values[offset::shortest][:count] for offset in range(shortest)]
        sums: NDArray[Any] = picked[0].astype(dtype)
        for part in picked[1:]:
            sums += part
        return sums
    sums = values[firsts].astype(dtype)
    for offset in range(1, shortest):
        sums += values[firsts + offset]
    longer = lengths > shortest
    sums[longer] += values[(firsts + shortest)[longer]]
    return sums


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
