"""Undo what an encoder does to the scheduling of the process it runs in."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def own_scheduling() -> Iterator[None]:
    """Give every thread of this process the policy that this thread has now, at the end.

    SVT-AV1 run as root makes the thread that opens it, and its own ones, real-time; whatever that
    thread starts later inherits it. Where the system knows no such policies nothing is done.
    """
    if not hasattr(os, "sched_setscheduler"):
        yield
        return
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        for task in Path("/proc/self/task").glob("*"):
            # A thread may end in the meantime.
            with contextlib.suppress(ProcessLookupError):
                os.sched_setscheduler(int(task.name), policy, parameters)
