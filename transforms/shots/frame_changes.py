"""What small frames tell about a boundary beside a network's scores: numpy alone.

Everything is computed from integers, so that it has the same bits wherever a segment begins.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from transforms.shots.score_windows import Frames

RETURN_WITHIN = 4
"""A flash is over within so many frames."""
APART = (11, 14)
"""How far the frames that ``similar`` compares lie before and behind a step, both included. Nearer
ones are alike also within a dissolve."""
REACH = APART[1]
"""No feature of a frame depends on a frame farther away."""

_BLOCK = 16
"""Frames that are compared at once: what they take stays in a core's cache."""

Values = NDArray[np.float32]


class FrameChanges(NamedTuple):
    """One value per frame, each about the step from the frame before it; ``(T,)``."""

    change: Values
    """Mean difference from the frame before over pixels and colours, in levels; of the first 0."""
    returns: Values
    """The least such difference between a frame before the step and one behind it that are two to
    five frames apart, in levels: small where the picture soon is what it was; 255 where there are
    none."""
    similar: Values
    """The highest correlation of brightness, -1 to 1, between frames well before and well behind
    the step: near 1 where only the light has changed; -1 where there are none."""
    brightness: Values
    """Mean of the frame itself, in levels."""
    contrast: Values
    """Standard deviation of the brightness of the frame itself, in levels: near 0 where it is black
    or of one colour."""


def frame_changes(frames: Frames) -> FrameChanges:
    """Return what can be said about each frame.

    Args:
        frames: Shape ``(T, 27, 48, 3)``, T >= 1. Values of a frame are those of the whole video
            when all frames within ``REACH`` are among them.
    """
    change = np.zeros(len(frames), np.float32)
    change[1:] = apart(frames, 1)
    grey = _grey(frames)
    total, size = grey.sum(axis=1).astype(np.int64), grey.shape[1]
    spread = size * _products(grey, grey) - total * total
    return FrameChanges(
        change=change,
        returns=_returns(frames),
        similar=_similar(grey, total, spread),
        brightness=(total / (3 * size)).astype(np.float32),
        contrast=(np.sqrt(spread) / (3 * size)).astype(np.float32),
    )


def _grey(frames: Frames) -> NDArray[np.float64]:
    """Return the sum of each pixel's colours, in whole numbers; ``(T, pixels)``."""
    wide = frames.reshape(len(frames), -1, 3)
    grey = wide[..., 0].astype(np.uint16)
    grey += wide[..., 1]
    grey += wide[..., 2]
    return grey.astype(np.float64)


def _products(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the sums of products of rows; exact, as they are far below 2**53."""
    # Not a product of matrices: that would start threads.
    return np.einsum("tp,tp->t", one, other).astype(np.int64)


def apart(frames: Frames, gap: int) -> Values:
    """Return by how much each frame differs from the one ``gap`` frames later; ``(T - gap,)``."""
    flat = frames.reshape(len(frames), -1)
    found = np.empty(max(len(frames) - gap, 0), np.float32)
    for start in range(0, len(found), _BLOCK):
        before = flat[start : min(start + _BLOCK, len(found))]
        behind = flat[start + gap : start + gap + len(before)]
        step = np.maximum(before, behind)
        step -= np.minimum(before, behind)
        found[start : start + len(before)] = step.sum(axis=1, dtype=np.uint32) / flat.shape[1]
    return found


def _returns(frames: Frames) -> Values:
    found = np.full(len(frames), 255, np.float32)
    for gap in range(2, RETURN_WITHIN + 2):
        between = apart(frames, gap)
        for behind in range(gap):
            # Frames number - 1 - (gap - 1 - behind) and number + behind.
            _keep_least(found, between, shift=gap - behind)
    return found


def _keep_least(found: Values, apart: Values, *, shift: int) -> None:
    """Lower ``found[i]`` to ``apart[i - shift]`` where there is one."""
    count = min(len(apart), len(found) - shift)
    if count > 0:
        np.minimum(found[shift : shift + count], apart[:count], out=found[shift : shift + count])


def _similar(
    grey: NDArray[np.float64], total: NDArray[np.int64], spread: NDArray[np.int64]
) -> Values:
    """Return ``similar`` of frames ``(T, pixels)`` with their sums and scaled variances."""
    similar = np.full(len(grey), -1, np.float32)
    nearest, farthest = APART
    for gap in range(2 * nearest, min(2 * farthest, len(grey) - 1) + 1):
        both = grey.shape[1] * _products(grey[:-gap], grey[gap:]) - total[:-gap] * total[gap:]
        # A flat picture is like no other.
        scale = np.sqrt(spread[:-gap].astype(np.float64) * spread[gap:])
        alike = np.divide(both, scale, out=np.full(len(both), -1.0), where=scale > 0)
        for before in range(max(nearest, gap - farthest), min(farthest, gap - nearest) + 1):
            _keep_most(similar, alike.astype(np.float32), shift=before)
    return similar


def _keep_most(found: Values, alike: Values, *, shift: int) -> None:
    """Raise ``found[i]`` to ``alike[i - shift]`` where there is one."""
    count = min(len(alike), len(found) - shift)
    if count > 0:
        np.maximum(found[shift : shift + count], alike[:count], out=found[shift : shift + count])
