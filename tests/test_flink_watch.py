"""A Flink job followed to its end: what is waited for, what ends it, and what is said then."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flink_stub import Answers, answering

import runners.flink_watch
from runners.flink_rest import FlinkRest
from runners.flink_watch import FlinkJobError, FlinkLostError, follow
from transforms.errors import CurateError, LedgerError, PreflightError
from transforms.heartbeat import LeaseLostError

PYTHON = """java.lang.Exception: task failed
\tat org.apache.flink.runtime.Task.run(Task.java:1)
Caused by: java.lang.RuntimeException: Error of harness: Traceback (most recent call last):
  File "/x/sdk_worker.py", line 1, in _execute
    response = task()
{name}: {message} [while running 'CutChunks']

\tat org.apache.beam.FnApiControlClient.handle(FnApiControlClient.java:1)
Caused by: java.lang.RuntimeException: Error of harness: Traceback (most recent call last):
  File "/x/sdk_worker.py", line 1, in _execute
{name}: {message} [while running 'CutChunks']
"""
DIED = "a.IllegalStateException: Process died with exit code {status}\n\tat org.x.Y.z(Y.java:1)"


@pytest.fixture
def flink() -> Iterator[Answers]:
    with answering() as answers:
        yield answers


@pytest.fixture
def watch(flink: Answers, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that follows job 1, looking often."""
    monkeypatch.setattr(runners.flink_watch, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(runners.flink_watch, "GONE_SECONDS", 0.5)

    def run(
        *,
        progress: Callable[[], float] = lambda: 0.0,
        stall: float = 60,
        reports: str | None = None,
    ) -> None:
        rest = FlinkRest(flink.address)
        follow(rest, "1", progress=progress, stall_seconds=stall, reports=reports)

    return run


def test_a_job_that_finishes(flink: Answers, watch: Callable[..., None]) -> None:
    flink.job("RUNNING")
    threading.Timer(0.3, flink.job, ("FINISHED",)).start()
    watch()
    assert flink.asked.count("GET /jobs/1") > 3


def test_an_error_of_this_program_is_said_as_it_was_raised(
    flink: Answers, watch: Callable[..., None]
) -> None:
    name, message = "transforms.storage.interface.StorageError", "/out/x: No space left on device"
    flink.job("FAILED", PYTHON.format(name=name, message=message))
    with pytest.raises(CurateError) as caught:
        watch()
    assert str(caught.value) == message


@pytest.mark.parametrize("kind", [LeaseLostError, LedgerError])
def test_what_comes_again_at_every_attempt_is_not_waited_for(
    flink: Answers, watch: Callable[..., None], kind: type[CurateError]
) -> None:
    name = f"{kind.__module__}.{kind.__qualname__}"
    flink.job("RESTARTING", PYTHON.format(name=name, message="run X has taken over"))
    with pytest.raises(CurateError, match=r"^run X has taken over$"):
        watch()


def test_other_errors_are_left_to_the_next_attempt(
    flink: Answers, watch: Callable[..., None]
) -> None:
    name = "transforms.storage.interface.StorageError"
    flink.job("RESTARTING", PYTHON.format(name=name, message="timed out"))
    threading.Timer(0.3, flink.job, ("FINISHED",)).start()
    watch()


def test_a_foreign_error_comes_with_its_python_traceback(
    flink: Answers, watch: Callable[..., None]
) -> None:
    flink.job("FAILED", PYTHON.format(name="ZeroDivisionError", message="division by zero"))
    with pytest.raises(FlinkJobError) as caught:
        watch()
    assert "ZeroDivisionError: division by zero" in str(caught.value)
    assert "sdk_worker.py" in str(caught.value)
    assert ".java" not in str(caught.value)
    assert not isinstance(caught.value, FlinkLostError), "it would be raised again"


def test_an_error_of_flink_is_told_by_its_root(flink: Answers, watch: Callable[..., None]) -> None:
    flink.job("FAILED", "a.b.JobException: x\n\tat a.b(C.java:1)\nCaused by: a.NoSlotsError: none")
    with pytest.raises(FlinkLostError, match=r"failed: a\.NoSlotsError: none"):
        watch()


def test_too_few_network_buffers_are_not_tried_again(
    flink: Answers, watch: Callable[..., None]
) -> None:
    flink.job("FAILED", "a.IOException: Insufficient number of network buffers: 9")
    with pytest.raises(FlinkJobError, match=r"taskmanager\.memory\.network\.fraction") as caught:
        watch()
    assert not isinstance(caught.value, FlinkLostError)


@pytest.mark.parametrize(
    ("status", "told"),
    [(65, "other versions"), (66, "does not see the storage"), (67, "no room"), (127, "Python")],
)
def test_a_worker_that_cannot_start(
    flink: Answers, watch: Callable[..., None], status: int, told: str
) -> None:
    flink.job("RESTARTING", DIED.format(status=status))
    with pytest.raises(PreflightError, match=f"^node7: a worker cannot start: .*{told}"):
        watch()


def test_what_the_worker_reported_is_told_too(
    flink: Answers, watch: Callable[..., None], tmp_path: Path
) -> None:
    report = {"host": "node7.local", "status": 65, "message": "Python 3.10 here, 3.11 there"}
    (tmp_path / "node7.json").write_text(json.dumps(report))
    flink.job("RESTARTING", DIED.format(status=65))
    with pytest.raises(PreflightError, match=r"\(node7.local: Python 3.10 here, 3.11 there\)"):
        watch(reports=str(tmp_path))


def test_a_worker_killed_in_its_work_is_left_to_the_next_attempt(
    flink: Answers, watch: Callable[..., None]
) -> None:
    flink.job("RESTARTING", DIED.format(status=143))
    threading.Timer(0.2, flink.job, ("FINISHED",)).start()
    watch()


def test_a_job_that_is_started_anew_for_ever_is_ended(
    flink: Answers, watch: Callable[..., None]
) -> None:
    flink.job("RESTARTING", *[f"a.b.TaskManagerLostException: {number}" for number in range(11)])
    threading.Timer(1.0, flink.job, ("FINISHED",)).start()
    with pytest.raises(FlinkLostError, match="TaskManagerLostException: 0"):
        watch()


def test_a_job_that_is_started_anew_ten_times_goes_on(
    flink: Answers, watch: Callable[..., None]
) -> None:
    flink.job("RESTARTING", *[f"a.b.TaskManagerLostException: {number}" for number in range(10)])
    threading.Timer(0.3, flink.job, ("FINISHED",)).start()
    watch()


def test_a_job_that_counts_nothing_hangs(flink: Answers, watch: Callable[..., None]) -> None:
    flink.job("RUNNING")
    with pytest.raises(FlinkJobError, match=r"nothing was counted for 0\.005 minutes"):
        watch(stall=0.3)


def test_a_job_that_counts_does_not_hang(flink: Answers, watch: Callable[..., None]) -> None:
    flink.job("RUNNING")
    counter = itertools.count()
    threading.Timer(1.0, flink.job, ("FINISHED",)).start()
    watch(stall=0.3, progress=lambda: float(next(counter)))


def test_somebody_else_cancelled_it(flink: Answers, watch: Callable[..., None]) -> None:
    flink.job("CANCELED")
    with pytest.raises(FlinkJobError, match="cancelled, but not by this command"):
        watch()


def test_a_job_manager_that_forgot_the_job(flink: Answers, watch: Callable[..., None]) -> None:
    with pytest.raises(FlinkLostError, match="Flink has lost the job"):
        watch()


def test_a_job_manager_that_is_busy_is_waited_for(
    flink: Answers, watch: Callable[..., None]
) -> None:
    flink.job("FINISHED")
    flink.status = 500

    def answer_again() -> None:
        flink.status = 200

    threading.Timer(0.2, answer_again).start()
    watch()


def test_a_job_manager_that_is_gone(watch: Callable[..., None], flink: Answers) -> None:
    flink.job("RUNNING")
    flink.status = 500
    started_at = time.monotonic()
    with pytest.raises(FlinkJobError, match="the JobManager is gone, and the job with it"):
        watch()
    assert time.monotonic() - started_at < 5
