"""What a child is at, for how long, and what it has decoded."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from transforms.media.child_messages import Message, Part, Tick
from transforms.media.decode import DecodeCounters

TICK_SECONDS = 2.0


class JobProgress:
    """Follows the jobs of a child, one after the other."""

    def __init__(self, emit: Callable[[Message], None]) -> None:
        self._emit = emit
        self._part: Part = "wait"
        self._clip_id: str | None = None
        self._since = self._last_tick = 0.0
        self.start_job()

    def start_job(self) -> None:
        """Count from nothing."""
        self.counters = DecodeCounters()
        self.seconds: dict[str, float] = {}
        """Processor time of each part but waiting."""
        self.details: dict[str, float] = {}
        """Processor time within these parts."""

    def begin(self, part: Part, clip_id: str | None = None) -> None:
        """Turn to another part or clip, and tell of it."""
        now = time.process_time()
        if self._part != "wait":
            self.seconds[self._part] = self.seconds.get(self._part, 0.0) + now - self._since
        self._part, self._clip_id, self._since = part, clip_id, now
        self._emit(self.tick())

    def add_details(self, seconds: Mapping[str, float], *, of: Part) -> None:
        """Add processor time within a part, by name."""
        for name, spent in seconds.items():
            key = f"{of}_{name}"
            self.details[key] = self.details.get(key, 0.0) + spent

    def tick(self) -> Tick:
        """Return what the child is at; any thread may ask."""
        return Tick(self._part, self._clip_id, self.counters.num_decoded)

    def tell_now_and_then(self) -> None:
        """Emit a tick unless the last one was a moment ago."""
        now = time.monotonic()
        if now - self._last_tick >= TICK_SECONDS:
            self._last_tick = now
            self._emit(self.tick())
