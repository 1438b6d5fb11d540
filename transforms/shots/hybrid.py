"""Boundaries by a network's scores and by what the same small frames say: numpy alone.

The network alone misses sudden cuts that it finds improbable, and takes some flashes and changes of
light for boundaries. How much a frame changes the picture tells both apart.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from transforms.shots.boundaries import MANY_HOT_THRESHOLD, runs
from transforms.shots.frame_changes import REACH, RETURN_WITHIN, FrameChanges
from transforms.shots.score_windows import Scores

CLOSEST = 5
"""Boundaries closer than this many frames are one."""
_SURE = 0.9
"""Above this score the network is not contradicted."""
_LIKELY = 0.6
"""Above this score a change of light in one direction may be a dissolve."""
_ALIKE = 0.8
"""Correlation of frames before and behind below which it is another shot, whatever the light."""
_NEIGHBOURS = 2
_NEAR = 2
"""How many frames off the network may tell a sudden change."""
_SUDDEN = 2.0
"""Weight of a sudden change: more than any score's."""
_LONG_RUN = 4
_DARK = 3.0
"""Contrast in levels that noise in a black picture does not reach."""
_FILE = Path(__file__).with_name("hybrid_thresholds.json")


@dataclass(frozen=True)
class HybridThresholds:
    """Numbers found by ``python -m benchmarks.shot_thresholds``, which says on what footage."""

    supported: float
    """One-hot score within a frame of a sudden change that makes it a cut."""
    change: float
    """Levels by which such a cut changes the picture at least."""
    stands_out: float
    """How many times more than the two frames before and behind it on average."""
    alone_change: float
    """Levels by which a cut that the network does not see at all changes the picture."""
    alone_stands_out: float
    """How many times more than the frames around."""
    gradual: float
    """One-hot score that makes a long run of many-hot frames a transition."""
    fade: float
    """One-hot score that makes a dip to black or to another plain colour a transition."""
    returns: float
    """A flash: the picture is back within four frames but for this share of the change."""
    similar: float
    """A change of light: frames well before and behind correlate more than this."""
    one_way: float
    """A change of light: this share of the change is pixels that all get brighter, or darker."""
    dip: float
    """A fade: contrast falls to this share of what it is before and behind."""


@functools.cache
def hybrid_thresholds() -> HybridThresholds:
    """Return the thresholds of ``hybrid_thresholds.json``."""
    return HybridThresholds(**json.loads(_FILE.read_text(encoding="utf-8"))["thresholds"])


def hybrid_boundaries(
    scores: Scores,
    changes: FrameChanges,
    *,
    threshold: float,
    found_by: HybridThresholds | None = None,
) -> NDArray[np.bool_]:
    """Return for each frame whether it is the last of its shot or at the peak of a transition.

    Args:
        scores: The network's, shape ``(N, 2)``.
        changes: Of the same frames.
        threshold: One-hot score that makes a boundary, as for the network alone.
        found_by: Other thresholds than those stored.
    """
    rule = _Rule(scores, changes, threshold, found_by or hybrid_thresholds())
    kept: list[tuple[int, float]] = []
    for start, weight in sorted(rule.starts()):
        if kept and start - kept[-1][0] < CLOSEST:
            if weight > kept[-1][1]:
                kept[-1] = (start, weight)
        else:
            kept.append((start, weight))
    is_boundary = np.zeros(len(scores), np.bool_)
    is_boundary[[start - 1 for start, _ in kept]] = True
    gradual = {start - 1 for start, weight in kept if weight < _SUDDEN}
    for first, behind in runs(scores[:, 0] > threshold):
        if not gradual.isdisjoint(range(first, behind)):
            is_boundary[first:behind] = True
    return is_boundary


class _Rule:
    """The rule on one video. A boundary is told by the first frame of the new shot, ``start``."""

    def __init__(
        self, scores: Scores, changes: FrameChanges, threshold: float, found_by: HybridThresholds
    ) -> None:
        self._one, self._many = scores[:, 0], scores[:, 1]
        self._changes, self._threshold, self._by = changes, threshold, found_by

    def starts(self) -> Iterator[tuple[int, float]]:
        """Yield boundaries and how much they weigh against others close by, in any order."""
        for candidates in (self._by_network(), self._sudden(), self._gradual()):
            for start, score, weight in candidates:
                if score >= _SURE or not (
                    self._is_flash(start, score) or self._is_light(start, score)
                ):
                    yield start, weight

    def _by_network(self) -> Iterator[tuple[int, float, float]]:
        for first, behind in runs(self._one > self._threshold):
            start = first + int(np.argmax(self._one[first:behind])) + 1
            if start < len(self._one):
                score = float(self._one[start - 1])
                yield start, score, score

    def _sudden(self) -> Iterator[tuple[int, float, float]]:
        by, change = self._by, self._changes.change
        for found in np.flatnonzero(change > min(by.change, by.alone_change)):
            start = int(found)
            around = self._around(start)
            score = float(self._one[max(start - _NEAR, 0) : start + 1].max())
            supported = score > by.supported and change[start] > by.change
            alone = change[start] > max(by.alone_change, by.alone_stands_out * around)
            if start and (alone or (supported and change[start] > by.stands_out * around)):
                # Where the picture changes suddenly is better known than by the network.
                yield start, score, _SUDDEN + score

    def _gradual(self) -> Iterator[tuple[int, float, float]]:
        for first, behind in runs(self._many > MANY_HOT_THRESHOLD):
            score = float(self._one[first:behind].max())
            start = first + int(np.argmax(self._one[first:behind])) + 1
            is_long = behind - first >= _LONG_RUN
            if is_long and score > self._by.gradual and start < len(self._one):
                yield start, score, score
        for found in np.flatnonzero(self._one > self._by.fade):
            start, score = int(found) + 1, float(self._one[found])
            if start < len(self._one) and self._is_fade(start):
                yield start, score, score

    def _around(self, start: int) -> float:
        change = self._changes.change
        near = [
            float(change[number])
            for number in range(start - _NEIGHBOURS, start + _NEIGHBOURS + 1)
            # The first frame has none before it to differ from.
            if number != start and 0 < number < len(change)
        ]
        return sum(near) / len(near) if near else 0.0

    def _is_flash(self, start: int, score: float) -> bool:
        change = self._changes.change
        first = max(start - _NEAR, 1)
        step = first + int(np.argmax(change[first : start + _NEAR + 1]))
        share = self._by.returns * change[step]
        if change[step] <= self._by.change:
            return False
        returns = bool(self._changes.returns[step] < share)
        return returns or (score < _LIKELY and self._flips(step))

    def _flips(self, step: int) -> bool:
        """Return whether light goes on and off, or off and on, within a flash's time.

        Where the camera moves fast, the picture does not return, but its brightness does. The
        network is surer where a flash hides a cut.
        """
        brighter = np.diff(self._changes.brightness, prepend=self._changes.brightness[:1])
        jump, least = float(brighter[step]), self._by.one_way * self._changes.change[step]
        near = slice(max(step - RETURN_WITHIN, 1), step + RETURN_WITHIN + 1)
        back = float((brighter[near] * -np.sign(jump)).max())
        # A short fade is as fast down and up, but not sudden.
        usual = float(np.median(self._changes.change[near]))
        is_sudden = self._changes.change[step] > self._by.stands_out * usual
        return bool(is_sudden and abs(jump) > least and back > least)

    def _is_light(self, start: int, score: float) -> bool:
        if self._is_fade(start):
            return False
        if self._changes.similar[start] > self._by.similar:
            return True
        first = max(start - 3, 1)
        steps = slice(first, start + 4)
        brighter = np.abs(np.diff(self._changes.brightness[first - 1 : start + 4]))
        change = self._changes.change[steps]
        one_way = np.median(brighter / np.maximum(change, 1))
        # A cut changes the picture at once, light within a few frames.
        is_slow = change.max() < self._by.stands_out * max(self._around(start), 1)
        is_alike = score < _LIKELY or self._changes.similar[start] > _ALIKE
        return bool(is_alike and is_slow and one_way > self._by.one_way)

    def _is_fade(self, start: int) -> bool:
        contrast = self._changes.contrast
        least = contrast[max(start - 4, 0) : start + 5].min()
        sides = (contrast[max(start - REACH, 0) : start], contrast[start : start + REACH])
        shown = min(side.max() for side in sides)
        return bool(least < self._by.dip * shown and shown > _DARK)


def changes_of(stored: Mapping[str, NDArray[np.float32]]) -> FrameChanges:
    """Return the changes among stored scores."""
    return FrameChanges(**{name: stored[name] for name in FrameChanges._fields})
