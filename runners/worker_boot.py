"""Starts one worker on a cluster and stays beside it: ``python -m runners.worker_boot --id=...``.

A Flink TaskManager runs it (PROCESS environment), or our own pool does (EXTERNAL). It checks the
machine, gives the worker a scratch folder, a GPU and a bounded log of its own, and ends it with
whoever started it. It does not import Beam: it costs 15 MB. The worker is a process of its own, by
``Popen`` without ``preexec_fn``: that would fork inside of gRPC where the pool uses it.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import BinaryIO

from runners.boot_checks import (
    NOT_STARTED,
    BootError,
    check_machine,
    is_told_to_stop,
    report,
)
from runners.boot_order import VARIABLE, BootOrder
from runners.bounded_log import BoundedLog, log_folder
from runners.gpus import VARIABLE as GPU_VARIABLE
from runners.gpus import GpuLease, leased_gpu
from runners.local_calls import not_proxied
from transforms.media.slots import WORKERS_VARIABLE
from transforms.scratch import HERE_VARIABLE, new_run_id, run_scratch

ENDPOINTS = ("provision", "control", "logging", "artifact")
STARTED_VARIABLE = "BEAM_CURATE_STARTED"
"""Names the file that a worker makes when all is imported."""
BOOT_VARIABLE = "BEAM_CURATE_DRIVER"
"""Names the process that a worker ends with, see ``local_worker``."""
START_SECONDS = 100.0
"""A worker that has not started by then hangs."""
_LOOK_SECONDS = 0.3
_ASK_SECONDS = 5.0
_STOP_SECONDS = 1.0
_ENDED = 143
_DIED = 70
"""Exit status after any bad end of a worker that had started."""


class _EndedError(Exception):
    """Whoever started this program wants its end, or is gone."""


def main() -> int:
    """Run one worker to its end and return its exit status, or why it could not start."""
    arguments = _arguments()
    signal.signal(signal.SIGTERM, _end)
    # Ctrl-C where a TaskManager runs in a terminal: the TaskManager ends its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    order = BootOrder.from_json(os.environ[VARIABLE])
    name = f"worker-{time.strftime('%Y%m%dT%H%M%S')}-{socket.gethostname()}-{os.getpid()}.log"
    with contextlib.closing(BoundedLog(log_folder() / name)) as log:
        try:
            return _serve(arguments, order, log)
        except BootError as error:
            log.write(f"worker {arguments.id} cannot start: {error}\n".encode())
            report(order, error)
            return error.status
        except _EndedError:
            return _ENDED


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--id", required=True)
    for endpoint in ENDPOINTS:
        parser.add_argument(f"--{endpoint}_endpoint", default="")
    parser.add_argument("--started", default="", help="a file to make when the worker has started")
    return parser.parse_known_args()[0]


def _serve(arguments: argparse.Namespace, order: BootOrder, log: BoundedLog) -> int:
    check_machine(order)
    with run_scratch(order.scratch_path, new_run_id()) as scratch, leased_gpu() as lease:
        started = Path(arguments.started or scratch / "started")
        with _worker(arguments, order, scratch, started, lease) as worker:
            assert worker.stdout is not None
            copier = threading.Thread(target=_copy, args=(worker.stdout, log), daemon=True)
            copier.start()
            status = _watch(worker, started, log, order.reports)
            copier.join(_STOP_SECONDS)
        if status and not started.exists():
            raise BootError(
                NOT_STARTED,
                f"the worker ended with status {status} while it started: {log.last_line()} "
                f"(log: {log.path} on {socket.gethostname()})",
            )
        return _DIED if status else 0


@contextlib.contextmanager
def _worker(
    arguments: argparse.Namespace, order: BootOrder, scratch: Path, started: Path, lease: GpuLease
) -> Iterator[subprocess.Popen[bytes]]:
    """Start the worker; it is dead when the context is left."""
    environment = {
        **os.environ,
        **not_proxied(os.environ),
        **{f"{name.upper()}_ENDPOINT": _endpoint(arguments, name) for name in ENDPOINTS},
        "WORKER_ID": arguments.id,
        HERE_VARIABLE: str(scratch),
        WORKERS_VARIABLE: str(order.workers_here),
        STARTED_VARIABLE: str(started),
        BOOT_VARIABLE: str(os.getpid()),
    }
    if lease.gpu is not None or GPU_VARIABLE in os.environ:
        environment[GPU_VARIABLE] = lease.gpu or ""
    worker = subprocess.Popen(
        [sys.executable, "-m", "runners.cluster_worker", order.log_level],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        pass_fds=() if lease.handle is None else (lease.handle,),
    )
    try:
        yield worker
    finally:
        # What it started ends with it: their standard input is closed.
        worker.kill()
        worker.wait()


def _endpoint(arguments: argparse.Namespace, name: str) -> str:
    return str(getattr(arguments, f"{name}_endpoint"))


def _watch(
    worker: subprocess.Popen[bytes], started: Path, log: BoundedLog, reports: str | None
) -> int:
    """Wait for the worker's end; end it when it hangs at its start, or nobody needs it."""
    starter, late_at = os.getppid(), time.monotonic() + START_SECONDS
    asked_at = time.monotonic()
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return abs(worker.wait(_LOOK_SECONDS))
        if os.getppid() != starter:
            raise _EndedError
        if time.monotonic() - asked_at > _ASK_SECONDS:
            asked_at = time.monotonic()
            if is_told_to_stop(reports):
                raise _EndedError
        if time.monotonic() > late_at and not started.exists():
            raise BootError(
                NOT_STARTED,
                f"the worker did not start within {START_SECONDS:.0f} s: {log.last_line()} "
                f"(log: {log.path} on {socket.gethostname()})",
            )


def _copy(stream: BinaryIO, log: BoundedLog) -> None:
    # Always read: a worker whose pipe is full would wait for ever in print().
    while data := os.read(stream.fileno(), 65536):
        log.write(data)


def _end(_signal: int, _frame: FrameType | None) -> None:
    raise _EndedError


if __name__ == "__main__":
    sys.exit(main())
