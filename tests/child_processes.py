"""The child processes of this test's process that probe or cut."""

from __future__ import annotations

import os
from pathlib import Path


def children_here() -> list[int]:
    """Return the ids of children of this process that run ``transforms.media.child``."""
    return sorted(pid for pid in _pids() if _is_ours(pid))


def _pids() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _is_ours(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return int(status[1]) == os.getpid() and b"transforms.media.child" in command
