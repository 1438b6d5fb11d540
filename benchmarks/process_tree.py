"""What a command costs: processor time, wall time and memory of all of its processes."""

from __future__ import annotations

import itertools
import os
import subprocess
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

LOOKS_BETWEEN_SEARCHES = 10
"""Looking for new processes takes longer than looking at those known."""
_KIB = 1024


@dataclass(frozen=True)
class Cost:
    """What one command cost, its child processes and theirs included."""

    processor_seconds: float
    """User and system time of all processes that were waited for."""
    wall_seconds: float
    peak_bytes: int
    """Largest sum over all processes alive at one time: an upper bound, as what they share counts
    in each of them."""
    peak_own_bytes_of_root: int
    """Most memory of the command's first process that no file on disk stands behind."""
    most_processes: int
    """Most processes alive at one time."""


def measure(
    command: Sequence[str],
    *,
    log: Path,
    environment: Mapping[str, str] | None = None,
    every_seconds: float = 0.05,
    allowed: Collection[int] = (0,),
) -> Cost:
    """Run a command to its end and return what it cost.

    Args:
        command: Program and arguments.
        log: File for everything it prints.
        environment: Variables set beside those of this process.
        every_seconds: Time between two looks at the memory.
        allowed: Exit statuses that are no failure.

    Raises:
        RuntimeError: The command failed.
    """
    started = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
        )
    memory = _Memory(process.pid, every_seconds)
    _, status, usage = os.wait4(process.pid, 0)
    wall_seconds = time.monotonic() - started
    memory.stop()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in allowed:
        raise RuntimeError(
            f"exit status {process.returncode} of {' '.join(command)}; it printed:\n"
            + log.read_text(errors="replace")[-4000:]
        )
    return Cost(
        processor_seconds=usage.ru_utime + usage.ru_stime,
        wall_seconds=wall_seconds,
        peak_bytes=memory.peak_bytes,
        peak_own_bytes_of_root=memory.peak_own_bytes_of_root,
        most_processes=memory.most_processes,
    )


class _Memory:
    """Watches the memory of a process and its descendants from a thread."""

    def __init__(self, root: int, every_seconds: float) -> None:
        self.peak_bytes = self.peak_own_bytes_of_root = self.most_processes = 0
        self._root = root
        self._every_seconds = every_seconds
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End watching."""
        self._stopped.set()
        self._thread.join()

    def _watch(self) -> None:
        pids: list[int] = []
        looks = itertools.count()
        while not self._stopped.wait(self._every_seconds):
            if next(looks) % LOOKS_BETWEEN_SEARCHES == 0:
                pids = _tree(self._root)
            sizes = [_sizes(pid) for pid in pids]
            self.peak_bytes = max(self.peak_bytes, sum(size["VmRSS"] for size in sizes))
            own_bytes = sizes[0]["RssAnon"]
            self.peak_own_bytes_of_root = max(self.peak_own_bytes_of_root, own_bytes)
            self.most_processes = max(self.most_processes, len(pids))


def _tree(root: int) -> list[int]:
    """Return the process, first, and all that descend from it."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):  # noqa: PTH208 - names are all that is needed
        if entry.isdigit():
            children.setdefault(_parent(entry), []).append(int(entry))
    found = [root]
    for pid in found:
        found.extend(children.get(pid, []))
    return found


def _parent(pid: str) -> int:
    try:
        text = Path("/proc", pid, "stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
        return 0
    return int(text.rpartition(")")[2].split()[1])


def _sizes(pid: int) -> dict[str, int]:
    """Return the bytes of a process in memory, by kind; zero when it has ended.

    The kernel counts these anyway; shares of common pages (PSS) would cost milliseconds each time,
    and would depend on which other programs run.
    """
    try:
        lines = Path("/proc", str(pid), "status").read_text(errors="replace").splitlines()
    except (FileNotFoundError, ProcessLookupError):
        lines = []
    fields = (line.split() for line in lines if line.startswith(("VmRSS:", "RssAnon:")))
    return {"VmRSS": 0, "RssAnon": 0, **{name[:-1]: int(kib) * _KIB for name, kib, _ in fields}}
