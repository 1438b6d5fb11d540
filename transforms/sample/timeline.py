"""When things happen in one file: frame times, shots, transitions. Nothing is drawn here."""

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from transforms.sample.recipes import TransitionKind, VideoRecipe

SHORTEST_SHOT_SECONDS = 2.6
"""Shots are planned at least this long; rounding to frames keeps them above 2.5 s."""
_TRANSITION_SECONDS = 0.6
_TICKS_PER_SECOND = 600
_TICK_CHOICES = (20, 25, 30, 40)
"""A variable rate mixes frames of 1/30, 1/24, 1/20 and 1/15 s."""


@dataclass(frozen=True)
class Shot:
    """Frames ``[first_frame, end_frame)`` carry this shot's number."""

    number: int
    scene: str
    first_frame: int
    end_frame: int


@dataclass(frozen=True)
class Transition:
    """How one shot becomes the next.

    ``first_frame`` to ``last_frame`` (both included) show something of both shots or of black. A
    hard cut has no such frame: both then name the first frame of the new shot.
    """

    kind: TransitionKind
    first_frame: int
    last_frame: int
    cut_frame: int
    """First frame that carries the number of the new shot."""


@dataclass(frozen=True)
class Timeline:
    """The plan of one file."""

    time_base: Fraction
    """Seconds per tick."""
    ticks: NDArray[np.int64]
    """Time of each frame from the first, and the end of the last. Shape (num_frames + 1,)."""
    shots: tuple[Shot, ...]
    transitions: tuple[Transition, ...]

    @property
    def num_frames(self) -> int:
        """Number of frames in the file."""
        return len(self.ticks) - 1

    @property
    def duration(self) -> Fraction:
        """Seconds from the first frame to the end of the last."""
        return int(self.ticks[-1]) * self.time_base


def plan_timeline(recipe: VideoRecipe, *, seconds: float, seed: int, turn: int = 0) -> Timeline:
    """Return the plan of a file of about ``seconds`` seconds.

    Args:
        recipe: What kind of file.
        seconds: Length, at least ``SHORTEST_SHOT_SECONDS``; rounded to whole frames.
        seed: Decides shot lengths and, for a variable rate, frame lengths.
        turn: How often the recipe was used before in the set; later files start at other scenes.

    Raises:
        ValueError: ``seconds`` is too short.
    """
    if seconds < SHORTEST_SHOT_SECONDS:
        raise ValueError(
            f"a sample video lasts at least {SHORTEST_SHOT_SECONDS} s, got {seconds} s for "
            f"{recipe.name!r}; ask for more seconds"
        )
    rng = np.random.default_rng([seed, 1])
    time_base, ticks = _frame_times(recipe, seconds, rng)
    cuts = _cut_frames(recipe, seconds, ticks * float(time_base), rng)
    edges = [0, *cuts, len(ticks) - 1]
    shots = tuple(
        Shot(number, recipe.scenes[(number + 2 * turn) % len(recipe.scenes)], first, end)
        for number, (first, end) in enumerate(pairwise(edges))
    )
    kinds = recipe.transitions
    transitions = tuple(
        _transition(kinds[(i + turn) % len(kinds)], cut, float(recipe.fps))
        for i, cut in enumerate(cuts)
    )
    return Timeline(time_base, ticks, shots, transitions)


def _frame_times(
    recipe: VideoRecipe, seconds: float, rng: np.random.Generator
) -> tuple[Fraction, NDArray[np.int64]]:
    if not recipe.variable_rate:
        return 1 / recipe.fps, np.arange(round(seconds * recipe.fps) + 1, dtype=np.int64)
    wanted = round(seconds * _TICKS_PER_SECOND)
    lengths = rng.choice(_TICK_CHOICES, wanted // min(_TICK_CHOICES) + 1)
    ticks = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return Fraction(1, _TICKS_PER_SECOND), ticks[: int(np.searchsorted(ticks, wanted)) + 1]


def _cut_frames(
    recipe: VideoRecipe, seconds: float, times: NDArray[np.floating], rng: np.random.Generator
) -> list[int]:
    """Return the first frame of each shot but the first."""
    most = int(seconds / SHORTEST_SHOT_SECONDS)
    number = min(most, max(2, round(seconds / recipe.shot_seconds)))
    shares = rng.uniform(0.6, 1.4, number)
    spare = seconds - number * SHORTEST_SHOT_SECONDS
    lengths = SHORTEST_SHOT_SECONDS + spare * shares / shares.sum()
    return [int(np.searchsorted(times, time)) for time in np.cumsum(lengths)[:-1]]


def _transition(kind: TransitionKind, cut: int, fps: float) -> Transition:
    if kind == "cut":
        return Transition(kind, cut, cut, cut)
    half = max(2, round(_TRANSITION_SECONDS * fps / 2))
    return Transition(kind, cut - half, cut + half - 1, cut)
