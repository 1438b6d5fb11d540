"""Starts one worker on a cluster and stays beside it: ``python -m runners.worker_boot --id=...``.

A Flink TaskManager runs it (PROCESS environment), or our own pool does (EXTERNAL). It checks the
machine, gives the worker a scratch folder, a GPU and a bounded log of its own, and ends it with
whoever started it. It does not import Beam: it costs 15 MB. The worker is a process of its own, by
``Popen`` without ``preexec_fn``: that would fork inside of gRPC where the pool uses it.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
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
    CHECK_PATIENCE_SECONDS,
    NO_SCRATCH,
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
from runners.start_limit import CHECK_SECONDS, StartLimit
from transforms.errors import CurateError
from transforms.media.slots import WORKERS_VARIABLE
from transforms.scratch import HERE_VARIABLE, new_run_id, run_scratch

ENDPOINTS = ("provision", "control", "logging", "artifact")
STARTED_VARIABLE = "BEAM_CURATE_STARTED"
"""Names the file that a worker makes when all is imported."""
BOOT_VARIABLE = "BEAM_CURATE_DRIVER"
"""Names the process that a worker ends with, see ``local_worker``."""
START_SECONDS = 60.0
"""A worker that has not started by then hangs; Flink waits two minutes, and tells no reason."""
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
    if arguments.check:
        return _check(order)
    name = f"worker-{time.strftime('%Y%m%dT%H%M%S')}-{socket.gethostname()}-{os.getpid()}.log"
    limit = StartLimit(order, START_SECONDS)
    try:
        with contextlib.closing(BoundedLog(log_folder() / name)) as log:
            return _logged(arguments, order, log, limit)
    except (CurateError, OSError) as error:
        return _refused(order, BootError(NOT_STARTED, f"its log cannot be written: {error}"))
    except _EndedError:
        return _ENDED


def _check(order: BootOrder) -> int:
    """Look whether a worker could start here, say why not, and leave nothing."""
    # The submitter reads what is printed.
    order = dataclasses.replace(order, reports=None)
    StartLimit(order, CHECK_SECONDS)
    try:
        check_machine(order, patience_seconds=CHECK_PATIENCE_SECONDS)
        log_folder()
        with _scratch(order):
            return 0
    except BootError as error:
        problem = error
    except (CurateError, OSError) as error:
        problem = BootError(NOT_STARTED, f"a worker's log cannot be written: {error}")
    print(f"{socket.gethostname()}: {problem}", flush=True)
    return problem.status


def _logged(
    arguments: argparse.Namespace, order: BootOrder, log: BoundedLog, limit: StartLimit
) -> int:
    try:
        return _serve(arguments, order, log, limit)
    except BootError as error:
        problem = error
    except (CurateError, OSError) as error:
        problem = BootError(NOT_STARTED, f"the worker cannot be started: {error}")
    _note(log, f"worker {arguments.id} cannot start: {problem}")
    return _refused(order, problem)


def _refused(order: BootOrder, problem: BootError) -> int:
    report(order, problem)
    return problem.status


def _note(log: BoundedLog, text: str) -> None:
    # A disk without room takes the log, not the work.
    with contextlib.suppress(OSError):
        log.write(f"{text}\n".encode())


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--id", required=True)
    for endpoint in ENDPOINTS:
        parser.add_argument(f"--{endpoint}_endpoint", default="")
    parser.add_argument("--started", default="", help="a file to make when the worker has started")
    parser.add_argument("--check", action="store_true", help="check the machine, start no worker")
    return parser.parse_known_args()[0]


def _serve(
    arguments: argparse.Namespace, order: BootOrder, log: BoundedLog, limit: StartLimit
) -> int:
    check_machine(order)
    with _scratch(order) as scratch, leased_gpu() as lease:
        if lease.complaint:
            _note(log, f"worker {arguments.id}: {lease.complaint}")
        limit.doing = "its Python imported this program"
        started = Path(arguments.started or scratch / "started")
        limit.started = started
        with _worker(arguments, order, scratch, started, lease) as worker:
            limit.worker = worker
            assert worker.stdout is not None
            copier = threading.Thread(target=_copy, args=(worker.stdout, log), daemon=True)
            copier.start()
            status = _watch(worker, limit, log, order.reports)
            copier.join(_STOP_SECONDS)
        if status and not started.exists():
            raise BootError(
                NOT_STARTED,
                f"the worker ended with status {status} while it started: {log.last_line()} "
                f"(log: {log.path} on {socket.gethostname()})",
            )
        return _DIED if status else 0


@contextlib.contextmanager
def _scratch(order: BootOrder) -> Iterator[Path]:
    with contextlib.ExitStack() as held:
        try:
            folder = held.enter_context(run_scratch(order.scratch_path, new_run_id()))
        except (CurateError, OSError) as error:
            raise BootError(NO_SCRATCH, str(error)) from error
        yield folder


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
    worker: subprocess.Popen[bytes], limit: StartLimit, log: BoundedLog, reports: str | None
) -> int:
    """Wait for the worker's end; end it when it hangs at its start, or nobody needs it."""
    starter, asked_at = os.getppid(), time.monotonic()
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return abs(worker.wait(_LOOK_SECONDS))
        if os.getppid() != starter:
            raise _EndedError
        if time.monotonic() - asked_at > _ASK_SECONDS:
            asked_at = time.monotonic()
            if is_told_to_stop(reports):
                raise _EndedError
        if limit.is_late:
            raise limit.error(f"{log.last_line()} (log: {log.path})")


def _copy(stream: BinaryIO, log: BoundedLog) -> None:
    # Always read: a worker whose pipe is full would wait for ever in print().
    while data := os.read(stream.fileno(), 65536):
        with contextlib.suppress(OSError):
            # As above: without room the log ends, and the pipe is still read.
            log.write(data)


def _end(_signal: int, _frame: FrameType | None) -> None:
    raise _EndedError


if __name__ == "__main__":
    sys.exit(main())
