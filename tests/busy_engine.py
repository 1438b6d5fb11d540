"""An engine with 32 places and random latencies that keeps a diary of what it was busy with."""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from transforms.annotate.caption_settings import EngineSpec
from transforms.models.captions.engine import CaptionEngine, CaptionRequest
from transforms.records import CaptionAnswer


@dataclass(frozen=True)
class BusySettings:
    """Settings of the engine."""

    diaries: str
    """Folder of the diaries, one per process."""
    slots: int = 32
    shortest_seconds: float = 0.05
    longest_seconds: float = 0.15
    found: str = ""

    def definition(self) -> dict[str, Any]:
        """Return nothing."""
        return {}


@dataclass(frozen=True)
class BusySpec(EngineSpec):
    """Loads the engine of the tests: the graph takes any engine's specification."""

    @property
    def sees(self) -> Literal["mp4", "frames"]:
        """Return that frames are seen: files that need not be read."""
        return "frames"

    def load(self) -> CaptionEngine:
        """Return the engine."""
        assert isinstance(self.settings, BusySettings)
        return BusyEngine(self.settings)


class BusyEngine:
    """Answers each request with its own name after a random while."""

    def __init__(self, settings: BusySettings) -> None:
        self.slots = settings.slots
        self._settings = settings
        self._random = random.Random(0)
        self._pool = ThreadPoolExecutor(settings.slots)
        path = Path(settings.diaries) / f"{os.getpid()}-{time.monotonic_ns()}"
        self._diary = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def submit(self, request: CaptionRequest) -> Future[CaptionAnswer]:
        """Begin a request."""
        seconds = self._random.uniform(
            self._settings.shortest_seconds, self._settings.longest_seconds
        )
        return self._pool.submit(self._answer, request, time.monotonic(), seconds)

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown()
        os.close(self._diary)

    def _answer(self, request: CaptionRequest, submitted: float, seconds: float) -> CaptionAnswer:
        began = time.monotonic()
        time.sleep(seconds)
        entry = json.dumps([submitted, began, time.monotonic()]) + "\n"
        os.write(self._diary, entry.encode())
        return CaptionAnswer("success", request.request_id)


@dataclass(frozen=True)
class Busy:
    """How busy the engine of one process was."""

    num_requests: int
    share: float
    """Of its places, between the first and the last submission."""
    seconds: float
    """Between these."""


def busy(settings: BusySettings) -> Iterator[Busy]:
    """Yield how busy each process's engine was."""
    for diary in sorted(Path(settings.diaries).iterdir()):
        entries = [json.loads(line) for line in diary.read_text().splitlines()]
        submitted, began, ended = zip(*entries, strict=True)
        first, last = min(submitted), max(submitted)
        worked = sum(
            max(0.0, min(end, last) - max(begin, first))
            for begin, end in zip(began, ended, strict=True)
        )
        share = worked / (settings.slots * (last - first))
        yield Busy(len(entries), share, last - first)
