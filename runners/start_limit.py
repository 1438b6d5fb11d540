"""Ends a boot program whose worker has not started in time, wherever it hangs."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
import time
from pathlib import Path

from runners.boot_checks import NOT_STARTED, BootError, report
from runners.boot_order import BootOrder

CHECK_SECONDS = 20.0
"""Of a look at the machine alone. Two are enough; one that is overloaded may take longer."""
_GRACE_SECONDS = 3.0
"""The boot program itself ends in better order: it removes the scratch folder."""
_REPORT_SECONDS = 5.0
LATEST_SECONDS = _GRACE_SECONDS + _REPORT_SECONDS
"""So long after the limit the process is gone at the latest."""


class StartLimit:
    """A thread that ends this process; a look at a mount whose server is gone never returns.

    Args:
        order: Tells where to report.
        seconds: From now to when the worker must have started.
    """

    def __init__(self, order: BootOrder, seconds: float) -> None:
        self.doing = "its machine was checked"
        """What goes on now, for the report."""
        self.started: Path | None = None
        """The file that the worker makes when all is imported."""
        self.worker: subprocess.Popen[bytes] | None = None
        self._order = order
        self._seconds = seconds
        self._late_at = time.monotonic() + seconds
        timer = threading.Timer(seconds + _GRACE_SECONDS, self._end)
        timer.daemon = True
        timer.start()

    @property
    def has_started(self) -> bool:
        """Whether the worker has started."""
        return self.started is not None and self.started.exists()

    @property
    def is_late(self) -> bool:
        """Whether the time is over and the worker has not started."""
        return time.monotonic() > self._late_at and not self.has_started

    def error(self, hint: str = "") -> BootError:
        """Return what is said of a worker that is late.

        Args:
            hint: What may tell more.
        """
        message = f"the worker did not start within {self._seconds:.0f} s: it hung while "
        return BootError(
            NOT_STARTED, f"{message}{self.doing}{hint and '; '}{hint} on {socket.gethostname()}"
        )

    def _end(self) -> None:
        if self.has_started:
            return
        if self.worker is not None:
            self.worker.kill()
        print(self.error(), flush=True)
        # What the report needs may be what hangs.
        told = threading.Thread(target=report, args=(self._order, self.error()), daemon=True)
        told.start()
        told.join(_REPORT_SECONDS)
        os._exit(NOT_STARTED)
