"""Which machine and which process this is, told apart from all others, and whether one lives."""

from __future__ import annotations

import functools
import os
import socket
import uuid
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Process:
    """One process on one machine; a number that is used again is another process."""

    host: str
    """Name of the machine, for people."""
    boot_id: str
    """Of the machine's kernel since it started; containers on one machine share it."""
    pid_namespace: str
    """What the number counts in: each container has numbers of its own."""
    pid: int
    process_start: str
    """When the process started, in the kernel's ticks since boot."""

    @property
    def is_gone(self) -> bool:
        """Whether it surely does not run any more; False when this cannot be told from here."""
        if (self.boot_id, self.pid_namespace) != (_boot_id(), _pid_namespace()):
            return False
        return _start_of(self.pid) != self.process_start


def this_process() -> Process:
    """Return the process that calls."""
    pid = os.getpid()
    return Process(
        host=socket.gethostname(),
        boot_id=_boot_id(),
        pid_namespace=_pid_namespace(),
        pid=pid,
        process_start=_start_of(pid) or "",
    )


@functools.cache
def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        # No Linux: nobody can tell from elsewhere that this process is gone; its age must tell.
        return f"unknown-{uuid.uuid4().hex}"


def _pid_namespace() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return "unknown"


def _start_of(pid: int) -> str | None:
    """Return when a process started; None when there is none, or only its corpse."""
    try:
        # The name stands in brackets and may hold anything; the state is the first field behind.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else fields[19]
