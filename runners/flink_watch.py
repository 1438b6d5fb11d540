"""Follows a Flink job to its end, and ends it when it hangs or can only fail."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

from runners.boot_checks import PROBLEMS, read_report
from runners.flink_rest import FlinkAnswerError, FlinkRest, FlinkUnreachableError
from runners.step_errors import error_in_text
from transforms.errors import CurateError, PreflightError

POLL_SECONDS = 1.0
GONE_SECONDS = 60.0
"""A JobManager that has not answered for so long is gone, and its job with it."""
MAX_RESTARTS = 10
"""A job that failed more often is ended, whatever the cluster's ``restart-strategy`` says: each new
start looks like progress. Flink remembers 16 failures."""
_EXIT_STATUS = re.compile(r"Process died with exit code (\d+)(?::((?:.|\n(?!\t|Caused by))*))?")
"""What follows is what the process said, where our own check ran it."""
_NO_BOOT = re.compile(r'Cannot run program "([^"]+)"[^\n]*')
_CAUSE = re.compile(r"^(?:Caused by: )?([\w.$]+(?:Exception|Error)\b.*)$", re.MULTILINE)
_HOPELESS = re.compile(r"\.(LeaseLost|Ledger|Preflight|Usage)Error: ")
_NO_BUFFERS = "Insufficient number of network buffers"


class FlinkJobError(CurateError):
    """A Flink job failed, hangs, or is lost."""


class FlinkLostError(FlinkJobError):
    """A Flink job lost a machine or a process: another one may go through."""


def follow(
    rest: FlinkRest,
    job_id: str,
    *,
    progress: Callable[[], float],
    stall_seconds: float,
    reports: str | None = None,
) -> None:
    """Wait for the end of a job.

    Args:
        rest: The JobManager.
        job_id: The job.
        progress: Returns a number that changes whenever a worker has counted something.
        stall_seconds: When nothing at all changed for so long, the job hangs.
        reports: Folder where workers say why they cannot start.

    Raises:
        CurateError: As a step raised it.
        PreflightError: A worker cannot start; says where and why.
        FlinkLostError: The job lost a machine or a process.
        FlinkJobError: A step raised something else, or the job hangs.
    """
    stall = _Stall(stall_seconds)
    heard_at = time.monotonic()
    while True:
        try:
            job = rest.job(job_id)
            heard_at = time.monotonic()
            if has_finished(rest, job_id, reports, job=job):
                return
            stall.see((progress(), _activity(job)))
        except FlinkAnswerError as error:
            raise FlinkLostError(
                f"Flink has lost the job ({error}): was it started anew?"
            ) from error
        except FlinkUnreachableError as error:
            if time.monotonic() - heard_at > GONE_SECONDS:
                raise FlinkJobError(
                    f"{error}, for {GONE_SECONDS:.0f} seconds: the JobManager is gone, and the "
                    "job with it"
                ) from error
        stall.check()
        time.sleep(POLL_SECONDS)


class _Stall:
    """Tells whether anything has changed of late."""

    def __init__(self, limit_seconds: float) -> None:
        self._limit = limit_seconds
        self._seen: object = None
        self._changed_at = time.monotonic()

    def see(self, found: object) -> None:
        if found != self._seen:
            self._seen, self._changed_at = found, time.monotonic()

    def check(self) -> None:
        if time.monotonic() - self._changed_at > self._limit:
            raise FlinkJobError(
                f"nothing was counted for {self._limit / 60:g} minutes: the job hangs and is "
                "cancelled; the logs of TaskManagers and workers tell more. When single steps may "
                "take longer, allow them more with --stall_minutes"
            )


def has_finished(
    rest: FlinkRest, job_id: str, reports: str | None, *, job: dict[str, Any] | None = None
) -> bool:
    """Return whether a job has ended well, and raise what ended it or will end it.

    Args:
        rest: The JobManager.
        job_id: The job.
        reports: Folder where workers say why they cannot start.
        job: What the JobManager says of the job, if it was asked just now.

    Raises:
        CurateError, PreflightError, FlinkLostError, FlinkJobError: As ``follow``.
        FlinkAnswerError, FlinkUnreachableError: As ``FlinkRest.job``.
    """
    state = (job or rest.job(job_id))["state"]
    if state == "FINISHED":
        return True
    failures = rest.exceptions(job_id)
    for entry in failures:
        text = entry.get("stacktrace", "")
        if problem := _start_problem(text, reports):
            host = _host(entry) or rest.failed_host(job_id) or "a TaskManager's machine"
            raise PreflightError(f"{host}: a worker cannot start: {problem}")
        if _HOPELESS.search(text) and (error := error_in_text(text)) is not None:
            # It would come again at every attempt.
            raise error
    if state == "FAILED" or len(failures) > MAX_RESTARTS:
        raise _failure(failures)
    if state == "CANCELED":
        raise FlinkJobError("the job was cancelled, but not by this command")
    return False


def _activity(job: dict[str, Any]) -> tuple[Any, ...]:
    """Return what changes when anything happens in Flink's own eyes."""
    return tuple(
        (
            vertex["status"],
            vertex["metrics"].get("read-records"),
            vertex["metrics"].get("read-bytes"),
        )
        for vertex in job.get("vertices", [])
    )


def _host(entry: dict[str, Any]) -> str | None:
    """Return where it happened; of several tasks that failed at once the first that tells."""
    for told in [entry, *entry.get("concurrentExceptions", [])]:
        if told.get("endpoint"):
            return str(told["endpoint"]).rpartition(":")[0]
    return None


def _start_problem(text: str, reports: str | None) -> str | None:
    """Return why a worker cannot start, None when that is not what failed."""
    if missing := _NO_BOOT.search(text):
        return (
            f"{missing.group(0)}. The machines of the TaskManagers "
            "need beam-curate under the same path as here, or name their Python with "
            "--worker_python"
        )
    status = _EXIT_STATUS.search(text)
    if status is None or int(status.group(1)) not in PROBLEMS:
        return None
    told = read_report(reports) or (status.group(2) or "").strip()
    return PROBLEMS[int(status.group(1))] + (f" ({told})" if told else "")


def _failure(entries: list[dict[str, Any]]) -> CurateError:
    text = entries[0].get("stacktrace", "") if entries else ""
    error = error_in_text(text)
    if error is not None:
        return error
    if _NO_BUFFERS in text:
        return FlinkJobError(
            f"the Flink job failed: {_NO_BUFFERS}; give TaskManagers more of them in the cluster's "
            "configuration (taskmanager.memory.network.fraction: 0.3, and .max above the default "
            "of 1gb), or ask for fewer slots with --parallelism"
        )
    causes = _CAUSE.findall(text) or ["it does not say why"]
    python = text.rpartition("Traceback (most recent call last):")[2] if "Traceback" in text else ""
    if python:
        # Of Beam's worker: the step's own traceback is what counts.
        kept = [line for line in python.splitlines() if line.strip() and "\tat " not in line]
        return FlinkJobError("the Flink job failed: Traceback" + "\n".join(["", *kept[:40]]))
    return FlinkLostError(f"the Flink job failed: {causes[-1]}")
