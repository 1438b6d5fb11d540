"""How well found boundaries agree with known ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from benchmarks.shot_footage import Event
from transforms.shots.scenes import Scene

TOLERANCE = 1
"""A boundary is found when it is told this many frames off at most."""
GRADUAL = {"dissolve", "fade", "fade_black"}


@dataclass(frozen=True)
class Agreement:
    """Counts; they add up over files."""

    cuts: int = 0
    cuts_found: int = 0
    gradual: int = 0
    gradual_found: int = 0
    told: int = 0
    true: int = 0
    """How many of the told boundaries are there."""

    def __add__(self, other: Agreement) -> Agreement:
        """Return both counts together."""
        return Agreement(
            self.cuts + other.cuts,
            self.cuts_found + other.cuts_found,
            self.gradual + other.gradual,
            self.gradual_found + other.gradual_found,
            self.told + other.told,
            self.true + other.true,
        )

    @property
    def false(self) -> int:
        """Told boundaries where there are none."""
        return self.told - self.true

    @property
    def missed(self) -> int:
        """Boundaries that were not told."""
        return self.cuts - self.cuts_found + self.gradual - self.gradual_found

    @property
    def precision(self) -> float:
        """Share of what was told that is there."""
        return self.true / self.told if self.told else 1.0

    @property
    def recall(self) -> float:
        """Share of all boundaries that was told."""
        return 1 - self.missed / max(self.cuts + self.gradual, 1)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0


def boundaries_of_scenes(scenes: Sequence[Scene]) -> list[Scene]:
    """Return between each scene and the next one the frames ``[end, start]``, both included.

    ``start`` is the new scene's first frame; the frame before the boundary is not among them.

    Example:
        >>> boundaries_of_scenes([(0, 9), (10, 20), (30, 40), (40, 50)])
        [(10, 10), (21, 30), (40, 40)]
    """
    gaps = []
    for (_, end), (start, _) in pairwise(scenes):
        # What is left out before a hard cut is the old scene's last frame.
        gaps.append((min(end + 1, start), start))
    return gaps


def agreement(boundaries: Sequence[Event], told: Sequence[Scene]) -> Agreement:
    """Compare.

    Args:
        boundaries: The truth.
        told: First and last frame of each boundary, both included; of a hard cut twice the first
            frame of the new shot.
    """
    cuts = [event for event in boundaries if event.kind not in GRADUAL]
    gradual = [event for event in boundaries if event.kind in GRADUAL]
    # Of a gradual boundary the frame behind it is the first of the new shot.
    stretches = [(one.first, one.last + (one.kind in GRADUAL)) for one in boundaries]
    return Agreement(
        cuts=len(cuts),
        cuts_found=sum(any(_meets((one.first, one.first), it) for it in told) for one in cuts),
        gradual=len(gradual),
        gradual_found=sum(
            any(_meets((one.first, one.last + 1), it) for it in told) for one in gradual
        ),
        told=len(told),
        true=sum(any(_meets(one, it) for one in stretches) for it in told),
    )


def _meets(one: Scene, other: Scene) -> bool:
    return one[0] - TOLERANCE <= other[1] and other[0] <= one[1] + TOLERANCE
