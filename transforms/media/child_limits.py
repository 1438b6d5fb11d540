"""What a child may use and how long it may be silent; the limit of its memory is set by itself."""

from __future__ import annotations

import math
import os
import resource
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from transforms.media.slots import num_slots

SILENCE_SECONDS = 120.0
LEAST_MEMORY_BYTES = 1 << 31
"""A child of a small machine gets this much all the same: not all of them need it at one time. To
cut 3840x2160 with a slow preset takes 1.2 GiB."""
START_MEMORY_MB = 128
"""With less a child cannot even start."""
MIB = 1 << 20
_CGROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class ChildLimits:
    """Limits of each child of a run."""

    memory_mb: int | None = None
    """MiB of memory; 0: no limit; None: what the machine has for each of its slots."""
    silence_seconds: float = SILENCE_SECONDS
    """A child that shows no progress for so long is ended."""

    def memory_bytes(self) -> int:
        """Return the limit on this machine in bytes; 0: none.

        Raises:
            PreflightError: ``BEAM_CURATE_SLOTS`` is not a whole number of at least 1.
        """
        if self.memory_mb is not None:
            return self.memory_mb * MIB
        return max(LEAST_MEMORY_BYTES, machine_memory_bytes() // num_slots())


def limit_memory(num_bytes: int) -> None:
    """Make allocations of this process fail beyond so many bytes; 0: no limit.

    ``RLIMIT_DATA`` counts what Linux shows as ``VmData``: private memory that can be written,
    stacks of threads included (8 MiB each), touched or not; address space that is only reserved,
    the code of libraries and shared memory do not count. Elsewhere than on Linux it counts too
    little to be of use, and nothing is set.
    """
    if not num_bytes or not sys.platform.startswith("linux"):
        return
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    soft = num_bytes if hard == resource.RLIM_INFINITY else min(num_bytes, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def lift_memory_limit() -> None:
    """Undo ``limit_memory``, so that a process that is about to end can tell why."""
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (hard, hard))


def memory_left() -> float:
    """Return how many bytes this process may still allocate; infinity without a limit."""
    soft, _ = resource.getrlimit(resource.RLIMIT_DATA)
    if soft == resource.RLIM_INFINITY or not sys.platform.startswith("linux"):
        return math.inf
    status = Path("/proc/self/status").read_text()
    (used,) = (line.split()[1] for line in status.splitlines() if line.startswith("VmData:"))
    return soft - int(used) * 1024


def machine_memory_bytes() -> int:
    """Return the memory of the machine, or of the container that this process is confined to."""
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        groups = Path("/proc/self/cgroup").read_text()
    except OSError:  # not Linux
        return physical
    return min([physical, *_cgroup_limits(groups)])


def _cgroup_limits(groups: str) -> Iterator[int]:
    """Yield the memory limits of these control groups and of those above them."""
    for line in groups.splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            folder, name = _CGROUPS, "memory.max"
        elif "memory" in controllers.split(","):
            folder, name = _CGROUPS / "memory", "memory.limit_in_bytes"
        else:
            continue
        here = Path(path.lstrip("/"))
        for group in (here, *here.parents):
            try:
                text = (folder / group / name).read_text().strip()
            except OSError:  # a container sees its own group only, at the top
                continue
            if text.isdigit() and int(text):
                yield int(text)
