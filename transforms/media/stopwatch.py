"""Where processor time goes, part by part."""

from __future__ import annotations

import time


class Stopwatch:
    """Adds up this process's processor time under the names of parts.

    Example:
        >>> watch = Stopwatch()
        >>> watch.lap("decode")
        >>> list(watch.seconds)
        ['decode']
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._since = time.process_time()

    def lap(self, part: str) -> None:
        """Count the time since the last lap, or the beginning, for ``part``."""
        now = time.process_time()
        self.seconds[part] = self.seconds.get(part, 0.0) + now - self._since
        self._since = now
