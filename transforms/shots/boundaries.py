"""From a detector's scores to the frames that belong to no scene."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from transforms.shots.scenes import Scene
from transforms.shots.score_windows import Scores

MANY_HOT_THRESHOLD = 0.5
"""Probability above which a frame lies within a transition (the network's authors' value)."""


@dataclass(frozen=True)
class Boundaries:
    """Where shots change."""

    frames: NDArray[np.bool_]
    """For each frame whether it belongs to no scene; of a hard cut it is the old shot's last."""
    transitions: tuple[Scene, ...]
    """Extents of gradual transitions, half-open, in frames; all of them are in ``frames``."""


def boundaries_at(scores: Scores, *, threshold: float) -> NDArray[np.bool_]:
    """Return upstream's decision: whether the one-hot score of a frame exceeds the threshold."""
    above: NDArray[np.bool_] = scores[:, 0] > threshold
    return above


def boundaries_with_transitions(is_boundary: NDArray[np.bool_], scores: Scores) -> Boundaries:
    """Widen boundaries by the transitions they lie in, as the many-hot scores tell them.

    A run of frames within a transition counts when a boundary touches it; others are the network's
    doubts. A run of one frame is a hard cut.

    Args:
        is_boundary: One decision per frame, shape ``(N,)``.
        scores: Shape ``(N, 2)``.
    """
    frames = is_boundary.copy()
    transitions = []
    for start, end in runs(scores[:, 1] > MANY_HOT_THRESHOLD):
        if is_boundary[max(0, start - 1) : end + 1].any():
            frames[start:end] = True
            if end - start > 1:
                transitions.append((start, end))
    return Boundaries(frames, tuple(transitions))


def runs(flags: NDArray[np.bool_]) -> list[Scene]:
    """Return the stretches of true values.

    Example:
        >>> runs(np.array([True, True, False, True]))
        [(0, 2), (3, 4)]
    """
    edges = np.flatnonzero(np.diff(np.concatenate(([0], flags.astype(np.int8), [0]))))
    return [(int(start), int(end)) for start, end in edges.reshape(-1, 2)]
