"""One GPU for each worker: a lock on it lives as long as the worker."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from transforms.machine_locks import lock_folder, open_lock_file

VARIABLE = "CUDA_VISIBLE_DEVICES"
_WAIT_SECONDS = 20.0
"""So long a worker of before, told to end, may keep its GPU."""
_LOOK_SECONDS = 0.2


@dataclass(frozen=True)
class GpuLease:
    """The GPU that a worker has for itself."""

    gpu: str | None
    """As CUDA names it; None: there is none on this machine, or none is free."""
    handle: int | None = None
    """Descriptor that holds the lock; the worker inherits it."""
    num_taken: int = 0
    """GPUs that others kept all the time."""

    @property
    def complaint(self) -> str | None:
        """What the worker's log is told when GPUs are there and none was free."""
        if not self.num_taken:
            return None
        return (
            f"no GPU was free: other workers have all {self.num_taken} that this one may see; "
            "it works without"
        )


def visible_gpus() -> list[str]:
    """Return the GPUs that this process may use: those it is told of, else all there are."""
    told = os.environ.get(VARIABLE)
    if told is not None:
        return [gpu.strip() for gpu in told.split(",") if gpu.strip()]
    numbers = [path.name.removeprefix("nvidia") for path in Path("/dev").glob("nvidia[0-9]*")]
    return sorted((number for number in numbers if number.isdigit()), key=int)


@contextlib.contextmanager
def leased_gpu(*, wait_seconds: float = _WAIT_SECONDS) -> Iterator[GpuLease]:
    """Hold the first free GPU while the context is open; wait a while when all are taken."""
    gpus = visible_gpus()
    deadline = time.monotonic() + wait_seconds
    with contextlib.ExitStack() as held:
        lease = GpuLease(None)
        while gpus and lease.gpu is None:
            lease = _try_all(gpus, held)
            if lease.gpu is None:
                if time.monotonic() > deadline:
                    lease = GpuLease(None, num_taken=len(gpus))
                    break
                time.sleep(_LOOK_SECONDS)
        yield lease


def _job_prefix() -> str:
    """Return what tells the GPUs of one SLURM job from those of another on the same node.

    Where SLURM confines a job to its GPUs, the first one is ``0`` in every job.
    """
    job_id = os.environ.get("SLURM_JOB_ID")
    return f"slurm-{job_id}-" if job_id else ""


def _try_all(gpus: list[str], held: contextlib.ExitStack) -> GpuLease:
    for gpu in gpus:
        name = re.sub(r"\W", "_", _job_prefix() + gpu)
        with contextlib.ExitStack() as opened:
            handle = opened.enter_context(open_lock_file(lock_folder() / "gpus" / name))
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            held.push(opened.pop_all())
            return GpuLease(gpu, handle)
    return GpuLease(None)
