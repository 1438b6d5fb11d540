"""The windows in which a shot detector sees a video, on one grid for the whole of it.

Window ``w`` gives the scores of frames ``[50 w, 50 w + 50)`` and sees 25 frames on either side of
them. As the grid is counted from the video's first frame, any division of the video into segments
of whole windows gives the scores of one pass (contract §1.5).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

STEP = 50
"""Frames that a window scores."""
MARGIN = 25
"""Frames that a window sees before and behind them."""

Frames = NDArray[np.uint8]
"""Small RGB frames, ``(T, 27, 48, 3)``."""
Scores = NDArray[np.float32]
"""Probabilities in ``[0, 1]``, ``(T, 2)``: the frame is the last of its shot; the frame lies within
a transition."""
Score = Callable[[Iterable[Frames]], Iterable[Scores]]
"""A model: windows to the scores of all their frames, in order."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Consecutive windows ``[first_window, end_window)`` of a video of ``num_frames`` frames."""

    first_window: int
    end_window: int
    num_frames: int

    @property
    def scored(self) -> tuple[int, int]:
        """Frames ``[start, end)`` that the segment scores."""
        return self.first_window * STEP, min(self.end_window * STEP, self.num_frames)

    @property
    def seen(self) -> tuple[int, int]:
        """Frames ``[start, end)`` that scoring needs."""
        start, end = self.first_window * STEP - MARGIN, self.end_window * STEP + MARGIN
        return max(0, start), min(end, self.num_frames)


def segments_of(num_frames: int, *, windows_per_segment: int) -> list[Segment]:
    """Return the segments of a video; the last one may be shorter.

    Example:
        >>> [segment.scored for segment in segments_of(230, windows_per_segment=2)]
        [(0, 100), (100, 200), (200, 230)]
    """
    num_windows = -(-num_frames // STEP)
    return [
        Segment(first, min(first + windows_per_segment, num_windows), num_frames)
        for first in range(0, num_windows, windows_per_segment)
    ]


def windows_of(segment: Segment, frames: Frames, *, pad_end: bool) -> Iterator[Frames]:
    """Yield the segment's windows in order.

    The video's first frame is repeated before it. Behind its last frame that one is repeated
    (``pad_end``), so that every window has 100 frames, or the windows get shorter, as upstream's
    do (contract, appendix B.3).

    Args:
        segment: Which windows.
        frames: The frames ``segment.seen``.
        pad_end: Whether the last frame is repeated.

    Raises:
        ValueError: ``frames`` are not as many as the segment needs.
    """
    offset, end = segment.seen
    if len(frames) != end - offset:
        raise ValueError(f"the segment needs {end - offset} frames, got {len(frames)}")
    for window in range(segment.first_window, segment.end_window):
        start = window * STEP - MARGIN
        behind = start + STEP + 2 * MARGIN
        numbers = np.arange(start, behind if pad_end else min(behind, segment.num_frames))
        yield frames[np.clip(numbers, 0, segment.num_frames - 1) - offset]


def score_segment(segment: Segment, frames: Frames, score: Score, *, pad_end: bool) -> Scores:
    """Return the scores of the frames ``segment.scored``."""
    scored = score(windows_of(segment, frames, pad_end=pad_end))
    start, end = segment.scored
    joined: Scores = np.concatenate([part[MARGIN : MARGIN + STEP] for part in scored])
    return joined[: end - start]
