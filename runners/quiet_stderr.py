"""Standard error of a process in which Beam's worker runs."""

from __future__ import annotations

from typing import TextIO


class WithoutTracebacks:
    """Standard error less the tracebacks that Beam prints whole; the driver gets them too."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._is_dropping = False

    def write(self, text: str) -> int:
        """Write the text, unless it is a whole traceback or the end of its line."""
        is_end_of_line = self._is_dropping and text == "\n"
        # One that ends the process is written line by line and gets through.
        is_whole = text.startswith("Traceback (most recent call last):\n ")
        self._is_dropping = is_whole
        return len(text) if is_whole or is_end_of_line else self._stream.write(text)

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)
