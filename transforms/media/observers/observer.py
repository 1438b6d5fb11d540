"""What the look calls for every decoded frame of a clip."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import av


@dataclass(frozen=True, slots=True)
class Findings:
    """What one observer has to say about a clip once all its frames went by."""

    scores: dict[str, float] = field(default_factory=dict)
    """Name of a score → its value."""
    notes: dict[str, str] = field(default_factory=dict)
    """Name of a note → its text, for example why a score is missing."""
    files: tuple[str, ...] = ()
    """Names of the files written, in order."""


class Observer(Protocol):
    """Measures or samples the frames of one clip while they are decoded once.

    An observer sees every frame in presentation order and must not keep or change it longer than
    until the next call (a decoded 1080p frame is 3 MB). It never decodes for itself.
    """

    def observe(self, frame: av.VideoFrame, index: int) -> None:
        """Take in the next frame; ``index`` counts from 0 in presentation order."""

    def finish(self) -> Findings:
        """Return the findings; called once, after the last frame."""
