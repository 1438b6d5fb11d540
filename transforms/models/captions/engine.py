"""What every caption engine does: take a request, promise an answer."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Protocol

from transforms.errors import CurateError
from transforms.records import CaptionAnswer, CaptionStatus

CAPTIONED: frozenset[CaptionStatus] = frozenset({"success", "truncated"})
"""Outcomes that count as captioned."""


class EngineGoneError(CurateError):
    """Whoever makes the captions cannot be reached any more; what is finished stays."""


@dataclass(frozen=True, slots=True)
class FramesFile:
    """The frames of a window that a model is to see, a local file."""

    path: str
    """``.npy``: uint8 RGB, shape (frames, height, width, 3)."""
    numbers: tuple[int, ...]
    """Their frame numbers, from the window's first frame, which is 0."""
    fps: float
    """Frames per second of the clip, not of the frames in the file."""


@dataclass(frozen=True, slots=True)
class CaptionRequest:
    """One window that is to get a caption."""

    request_id: str
    """``{clip id}_{first frame}_{last frame}``: for messages and records."""
    prompt: str
    mp4_path: str | None = None
    """The window's video, a local file; None: the engine sees frames, or text alone is asked."""
    frames: FramesFile | None = None
    """The window's frames; None: the engine takes the video, or text alone is asked."""
    json_schema: str | None = None
    """JSON Schema, as JSON, that the answer is to fit. The prompt says so, too, and whoever asks
    checks the answer: an engine that cannot guide its model passes over it."""
    values: Mapping[str, str] = field(default_factory=dict)
    """What placeholders stand for here, for prompts of later passes; the engine needs none."""


class CaptionEngine(Protocol):
    """Answers requests, many at a time; one per process, used by all of its threads."""

    slots: int
    """Requests that the engine works on at the same time."""

    def submit(self, request: CaptionRequest) -> Future[CaptionAnswer]:
        """Begin a request.

        The future's result is an answer also when the request fails. An exception in it ends the
        run: ``EngineGoneError``, or a defect.
        """
        ...

    def close(self) -> None:
        """Give back threads, memory and connections; nothing may be open."""
        ...
