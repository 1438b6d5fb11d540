"""A worker process of a local run: ``python -m runners.local_worker LOG_LEVEL``.

Beam's own worker logs every step of its life, and each record twice: to its standard error and
through the driver. Here it shows what this program has to say, once.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from typing import TextIO

from runners.logs import configure_logging


class _WithoutTracebacks:
    """Standard error less the tracebacks that Beam prints whole; the driver gets them too."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._is_dropping = False

    def write(self, text: str) -> int:
        is_end_of_line = self._is_dropping and text == "\n"
        # One that ends the process is written line by line and gets through.
        is_whole = text.startswith("Traceback (most recent call last):\n ")
        self._is_dropping = is_whole
        return len(text) if is_whole or is_end_of_line else self._stream.write(text)

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


def main(level: str) -> None:
    """Serve the driver until it closes the connection."""
    # Ctrl-C on a terminal reaches the whole group. It is for the driver, which ends its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Without this address, records are not sent to the driver, which would print them again.
    os.environ.pop("LOGGING_API_SERVICE_DESCRIPTOR", None)
    number = logging.getLevelName(level)
    # Beam sets the root logger to INFO; the handler's level stays.
    configure_logging(number).setLevel(number)
    from apache_beam.runners.worker import sdk_worker_main  # noqa: PLC0415 - it logs when imported

    if number > logging.DEBUG:
        sys.stderr = _WithoutTracebacks(sys.stderr)
    for package in ("transforms", "runners"):
        logging.getLogger(package).setLevel(number)
    sdk_worker_main.main([])


if __name__ == "__main__":
    main(sys.argv[1])
