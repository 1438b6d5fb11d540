"""Cuts by how much pictures change: numpy alone, no model."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from transforms.shots.frame_changes import apart
from transforms.shots.scenes import Scene
from transforms.shots.score_windows import Frames

STANDS_OUT = 3.0
"""A cut changes the picture so many times more than the frames around it change it; a pan does not
(media-facts: found on splices of real shots)."""
_NEIGHBOURS = 2


def content_change(frames: Frames) -> NDArray[np.float32]:
    """Return how much each frame differs from the one before it: mean over pixels and colours.

    Args:
        frames: Shape ``(T, 27, 48, 3)``, T >= 1.

    Returns:
        Levels, 0 to 255, shape ``(T,)``; the first is 0.
    """
    change = np.zeros(len(frames), np.float32)
    change[1:] = apart(frames, 1)
    return change


def shots_by_change(change: NDArray[np.float32], *, threshold: float) -> list[Scene]:
    """Return the shots: stretches between frames that differ much from the frame before them.

    A frame begins a shot when it changes the picture by more than the threshold and more than
    three times as much as the two frames before it and the two behind it do on average.

    Args:
        change: As ``content_change`` gives it.
        threshold: In levels.

    Example:
        >>> shots_by_change(np.array([0, 1, 1, 60, 1, 1], np.float32), threshold=15)
        [(0, 3), (3, 6)]
        >>> shots_by_change(np.array([0, 40, 40, 60, 40, 40], np.float32), threshold=15)
        [(0, 6)]
    """
    starts = [0]
    for frame in np.flatnonzero(change > threshold):
        around = [
            float(change[near])
            for near in range(frame - _NEIGHBOURS, frame + _NEIGHBOURS + 1)
            # The first frame has none before it to differ from.
            if near != frame and 0 < near < len(change)
        ]
        if frame and (not around or change[frame] > STANDS_OUT * sum(around) / len(around)):
            starts.append(int(frame))
    return list(zip(starts, [*starts[1:], len(change)], strict=True))
