"""Scores from the brightness of a clip's pixels: one ``Luma`` per frame, shared by all scorers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import av

from transforms.media.luma import Luma, LumaReader
from transforms.media.observers.black_share import BlackShare
from transforms.media.observers.brightness import Brightness
from transforms.media.observers.frozen_share import FrozenShare
from transforms.media.observers.observer import Findings
from transforms.media.observers.picture_box import PictureBox
from transforms.media.observers.sharpness import Sharpness
from transforms.media.stopwatch import Stopwatch


class LumaScorer(Protocol):
    """Measures one thing on the frames of one clip.

    Args:
        fps: Frames per second of the clip; 0 when unknown.
    """

    def __init__(self, *, fps: float) -> None: ...

    @staticmethod
    def definition() -> dict[str, float]:
        """Return the numbers that the score depends on; part of its fingerprint."""

    def observe(self, luma: Luma, index: int) -> None:
        """Take in the next frame; ``luma`` must not be kept."""

    def finish(self) -> dict[str, float]:
        """Return what was measured, by name; called once, after the last frame."""


SCORERS: dict[str, type[LumaScorer]] = {
    "black": BlackShare,
    "frozen": FrozenShare,
    "sharpness": Sharpness,
    "brightness": Brightness,
    "letterbox": PictureBox,
}
"""What can be measured, by the name of its filter."""


class LumaScores:
    """The observer: hands each frame's luma to the scorers that were asked for.

    Args:
        names: Some of ``SCORERS``.
        fps: Frames per second of the clip; 0 when unknown.
        watch: Is told what each scorer takes; the first one makes what all of them share.
    """

    def __init__(self, names: Sequence[str], *, fps: float, watch: Stopwatch | None = None) -> None:
        self._reader = LumaReader()
        self._scorers = {name: SCORERS[name](fps=fps) for name in names}
        self._watch = watch or Stopwatch()

    def observe(self, frame: av.VideoFrame, index: int) -> None:
        """Measure the frame."""
        luma = self._reader.read(frame)
        for name, scorer in self._scorers.items():
            scorer.observe(luma, index)
            self._watch.lap(name)

    def finish(self) -> Findings:
        """Return all scores."""
        scores: dict[str, float] = {}
        for name, scorer in self._scorers.items():
            scores.update(scorer.finish())
            self._watch.lap(name)
        return Findings(scores=scores)
