"""Asks every TaskManager, before the job, whether workers could start on its machine.

A job of ours, four kilobytes of Java, starts the boot program of workers on each TaskManager, as
Beam's runner will, and only to check: a second or two where all is well. Without it each machine
would be checked when it gets its first worker, some of them long after the job has begun.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from runners.flink_rest import (
    TERMINAL_STATES,
    FlinkAnswerError,
    FlinkRest,
    FlinkUnreachableError,
)
from runners.flink_watch import has_finished
from runners.start_limit import CHECK_SECONDS, LATEST_SECONDS

JAR = Path(__file__).resolve().parent / "WorkerCheck.jar"
ENTRY_CLASS = "WorkerCheck"
NAME = "beam-curate-check"
"""Begins the name of the job."""
MOST_SECONDS = 60.0
"""A check that has no result by then is given up: workers are checked again when they start."""
_POLL_SECONDS = 0.2

_logger = logging.getLogger(__name__)


def check_workers(rest: FlinkRest, process: Mapping[str, Any], run_id: str) -> None:
    """Check the machine of every TaskManager that has a free slot.

    Args:
        rest: The JobManager.
        process: ``command`` and ``env`` by which a TaskManager starts a worker.
        run_id: Goes into the name of the job.

    Raises:
        PreflightError: A worker cannot start on a machine; says which, and why.
    """
    started_at = time.monotonic()
    try:
        with _job(rest, process, f"{NAME}-{run_id}") as job_id:
            while not has_finished(rest, job_id, reports=None):
                if time.monotonic() - started_at > MOST_SECONDS:
                    raise FlinkAnswerError(f"no result within {MOST_SECONDS:.0f} s")
                time.sleep(_POLL_SECONDS)
    except (FlinkAnswerError, FlinkUnreachableError) as error:
        # For example a cluster that takes no jars by REST (web.submit.enable: false).
        _logger.warning("workers are checked when they start, not before: %s", error)
        return
    seconds = time.monotonic() - started_at
    _logger.info("%s: all TaskManagers can start workers (%.1f s)", rest.url, seconds)


@contextlib.contextmanager
def _job(rest: FlinkRest, process: Mapping[str, Any], name: str) -> Iterator[str]:
    """Run the job of the check; when the context is left it has ended, and its jar is gone."""
    command = [process["command"], "--id=check", "--check"]
    slots = max(1, rest.overview()["slots-available"])
    limit = int(CHECK_SECONDS + LATEST_SECONDS + 1)
    jar_id = rest.upload_jar(JAR)
    try:
        job_id = rest.run_jar(
            jar_id,
            ENTRY_CLASS,
            [
                *(name, str(slots), str(limit), str(len(command)), *command),
                *(f"{variable}={value}" for variable, value in process["env"].items()),
            ],
        )
        try:
            yield job_id
        finally:
            _end(rest, job_id)
    finally:
        with contextlib.suppress(FlinkAnswerError, FlinkUnreachableError):
            rest.delete_jar(jar_id)


def _end(rest: FlinkRest, job_id: str) -> None:
    # The job ends by itself, and soon: what counts is why this context is left.
    with contextlib.suppress(FlinkAnswerError, FlinkUnreachableError):
        if rest.job(job_id)["state"] not in TERMINAL_STATES:
            rest.cancel(job_id)
