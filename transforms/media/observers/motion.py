"""Motion scores of a clip from the motion vectors its H.264 decoder exports (contract §1.8).

A block's motion is painted on the pixels it covers; a frame's motion at a pixel is the length of
the vector over (height + width). Blocks are 16x16, 16x8, 8x16 or 8x8 pixels on a grid of 8, so it
is enough to paint on that grid; cells at the right and lower edge count with their visible pixels.
"""

from __future__ import annotations

import gc
from fractions import Fraction

import av
import numpy as np
from numpy.typing import NDArray

from transforms.media.look_settings import MotionSettings
from transforms.media.observers.observer import Findings

CELL = 8
"""Side of a grid cell in pixels; every block is one or two cells wide and high."""
PATCH = 256
"""Side of a patch in pixels, and the smallest frame side that can be scored."""
FRAMES_BETWEEN_COLLECTIONS = 4
"""``frame.side_data`` makes a reference cycle that keeps the decoded picture alive. A collection
is cheap in a child, which exempts from it whatever it has imported."""


class Motion:
    """Scores the motion of a clip decoded with exported motion vectors.

    Used are the frames ``0, s, 2 s, ...`` with ``s = max(1, round(fps / target_fps))``, at most
    ``max(10, round(target_fps * duration * target_duration_ratio))`` of them; frames that carry no
    vectors (every keyframe) are passed over and do not count.

    Findings: ``motion_global_mean``, the mean over frames and pixels, and
    ``motion_per_patch_min_256``, the smallest mean over frames in the middle of a 256-pixel patch.
    Without them the note ``motion_missing`` says ``resolution_too_small`` or ``no_vectors``.

    Args:
        settings: Sampling.
        size: Width and height of the frames in pixels.
        fps: Frames per second of the clip; None or 0 when unknown: every frame may be used.
        duration_seconds: Duration of the clip.
    """

    def __init__(
        self,
        settings: MotionSettings,
        *,
        size: tuple[int, int],
        fps: Fraction | None,
        duration_seconds: float,
    ) -> None:
        self._size = size
        self._step = max(1, round(float(fps or 0) / settings.target_fps))
        sampled = settings.target_fps * duration_seconds * settings.target_duration_ratio
        self._max_frames = max(10, round(sampled))
        width, height = size
        self._sum = np.zeros((-(-height // CELL), -(-width // CELL)))
        self._num_used = 0
        self._num_touched = 0

    @property
    def complete(self) -> bool:
        """Whether further frames cannot change the findings."""
        return min(self._size) < PATCH or self._num_used >= self._max_frames

    def observe(self, frame: av.VideoFrame, index: int) -> None:
        """Add the frame's motion if it is one of those used; touch no other frame's side data."""
        if index % self._step or self.complete:
            return
        self._num_touched += 1
        side_data = frame.side_data.get("MOTION_VECTORS")
        if side_data is not None and len(side_data):
            self._sum += cell_motion(side_data.to_ndarray(), size=self._size)
            self._num_used += 1
        if self._num_touched % FRAMES_BETWEEN_COLLECTIONS == 0:
            del frame, side_data
            gc.collect()

    def finish(self) -> Findings:
        """Return the two scores, or why there are none."""
        if self._num_touched:
            gc.collect()  # or pictures of every clip would pile up
        if min(self._size) < PATCH:
            return Findings(notes={"motion_missing": "resolution_too_small"})
        if not self._num_used:
            return Findings(notes={"motion_missing": "no_vectors"})
        mean = self._sum / self._num_used
        return Findings(
            scores={
                "motion_global_mean": global_mean(mean, size=self._size),
                "motion_per_patch_min_256": per_patch_min(mean, size=self._size),
            }
        )


def cell_motion(vectors: NDArray[np.void], *, size: tuple[int, int]) -> NDArray[np.float64]:
    """Return the motion of one frame on the grid of 8x8-pixel cells.

    Args:
        vectors: FFmpeg's motion vectors in the decoder's order. ``dst_x``, ``dst_y`` are the
            centre of a block of ``w`` x ``h`` pixels. Where blocks overlap the last one wins.
            Shape (V,).
        size: Width and height of the frame in pixels. What lies outside is not painted.

    Returns:
        Vector length over (height + width). Shape (ceil(height / 8), ceil(width / 8)).
    """
    width, height = size
    rows, columns = -(-height // CELL), -(-width // CELL)
    block_width, block_height = vectors["w"].astype(np.int64), vectors["h"].astype(np.int64)
    left = (vectors["dst_x"].astype(np.int64) - block_width // 2) // CELL
    top = (vectors["dst_y"].astype(np.int64) - block_height // 2) // CELL
    last_block = np.full(rows * columns, -1, dtype=np.int64)
    block = np.arange(len(vectors))
    for down in range(2):  # a block is at most two cells high and wide
        for right in range(2):
            row, column = top + down, left + right
            inside = (block_height > CELL * down) & (block_width > CELL * right)
            inside &= (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
            np.maximum.at(last_block, (row * columns + column)[inside], block[inside])
    scale = np.maximum(vectors["motion_scale"].astype(np.float64), 1.0)
    lengths = np.hypot(vectors["motion_x"] / scale, vectors["motion_y"] / scale)
    painted = np.append(lengths, 0.0)[last_block]  # -1, nothing painted, picks the appended zero
    return painted.reshape(rows, columns) / (height + width)


def global_mean(cells: NDArray[np.float64], *, size: tuple[int, int]) -> float:
    """Return the mean over pixels of a map of cells, edge cells weighted by visible pixels."""
    width, height = size
    columns = np.minimum(CELL, width - CELL * np.arange(cells.shape[1]))
    rows = np.minimum(CELL, height - CELL * np.arange(cells.shape[0]))
    return float(rows @ cells @ columns) / (width * height)


def per_patch_min(cells: NDArray[np.float64], *, size: tuple[int, int]) -> float:
    """Return the smallest value of the map shrunk to 1/256 per side.

    The shrink is bilinear with half-pixel centres and no antialiasing: an output pixel is the mean
    of the four pixels around ``256 k + 127.5``, and these lie in four different cells.
    """
    width, height = size
    rows = PATCH * np.arange(height // PATCH) + PATCH // 2 - 1
    columns = PATCH * np.arange(width // PATCH) + PATCH // 2 - 1
    corners = [
        cells[np.ix_((rows + down) // CELL, (columns + right) // CELL)]
        for down in range(2)
        for right in range(2)
    ]
    return float(np.min(sum(corners) / 4))
