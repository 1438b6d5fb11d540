"""The GPUs of this machine and their memory, asked of the driver's own tool: needs no torch."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
from dataclasses import dataclass

from runners.gpus import VARIABLE, visible_gpus

_logger = logging.getLogger(__name__)

_TOOL = "nvidia-smi"
_QUERY = ("--query-gpu=index,uuid,memory.total,memory.free", "--format=csv,noheader,nounits")
_SECONDS = 20.0
_MEBI = 1 << 20


@dataclass(frozen=True)
class GpuMemory:
    """One GPU that this process may use."""

    name: str
    """As CUDA names it."""
    total_bytes: int
    free_bytes: int
    """What no process has taken."""


def gpus_here() -> list[GpuMemory]:
    """Return the GPUs that this process may use, with their memory.

    A GPU whose memory the driver's tool does not tell, such as a part of one, is left out; without
    the tool, all are.
    """
    tool = shutil.which(_TOOL)
    if tool is None:
        return []
    try:
        done = subprocess.run(
            [tool, *_QUERY], capture_output=True, text=True, timeout=_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        _logger.warning("%s: %s; GPU memory is not known", tool, error)
        return []
    told = os.environ.get(VARIABLE) is not None
    visible = visible_gpus()
    there = [_gpu(line) for line in done.stdout.splitlines() if line.count(",") == 3]
    return [
        gpu
        for uuid, gpu in filter(None, there)
        if not told or any(gpu.name == name or uuid.startswith(name) for name in visible)
    ]


def _gpu(line: str) -> tuple[str, GpuMemory] | None:
    index, uuid, total, free = (cell.strip() for cell in line.split(","))
    if not (total.isdigit() and free.isdigit()):
        return None
    return uuid, GpuMemory(index, int(total) * _MEBI, int(free) * _MEBI)
