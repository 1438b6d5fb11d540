"""Which processes a run has, told by /proc."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

CHILD = "transforms.media.child"
GONE_SECONDS = 10
"""So long may processes of a run outlive it."""


@dataclass(frozen=True)
class Process:
    """A running process."""

    pid: int
    command: str

    @property
    def is_child(self) -> bool:
        """Whether it is one of those that decode."""
        return f" -m {CHILD} " in self.command


def processes(session: int, scratch: Path) -> list[Process]:
    """Return the processes of a session, and those that work in a scratch folder."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            state, _, _, its_session = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if state != "Z" and (int(its_session) == session or str(scratch) in command):
            found.append(Process(int(folder.name), command))
    return found


def assert_gone(session: int, scratch: Path) -> None:
    """Assert that no process of a run is left, ten seconds later at the latest."""
    deadline = time.monotonic() + GONE_SECONDS
    while left := processes(session, scratch):
        assert time.monotonic() < deadline, f"still there: {left}"
        time.sleep(0.05)
