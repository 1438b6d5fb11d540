"""A job whose command is gone is cancelled, also when it appears late."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flink_stub import Answers, answering
from wrong_use import environment

from runners.flink_rest import FlinkRest
from runners.job_guard import LOG_NAME, SUBMITTING_NAME, cancel_job

CANCEL = "PATCH /jobs/7?mode=cancel"


@pytest.fixture
def flink() -> Iterator[Answers]:
    with answering() as answers:
        show(answers)
        answers.by_path["/jobs/7?mode=cancel"] = {}
        yield answers


def show(flink: Answers, *states: str) -> None:
    """Let the cluster have jobs of that name, number 7, in these states."""
    jobs = [{"jid": "7", "name": "mine", "state": state} for state in states]
    flink.by_path["/jobs/overview"] = {"jobs": jobs}


def ends_when_cancelled(flink: Answers) -> None:
    while CANCEL not in flink.asked:
        time.sleep(0.02)
    show(flink, "CANCELED")


def test_a_job_that_appears_late_is_cancelled(flink: Answers) -> None:
    threading.Timer(1.0, show, (flink, "RUNNING")).start()
    threading.Thread(target=ends_when_cancelled, args=(flink,), daemon=True).start()
    assert cancel_job(FlinkRest(flink.address), "mine", late_seconds=20)
    assert CANCEL in flink.asked


def test_a_job_that_never_was_is_not_waited_for_long(flink: Answers) -> None:
    started_at = time.monotonic()
    assert cancel_job(FlinkRest(flink.address), "mine", late_seconds=0.5)
    assert 0.5 < time.monotonic() - started_at < 5


def test_the_time_counts_from_the_first_answer(flink: Answers) -> None:
    flink.status = 500

    def answer() -> None:
        flink.status = 200

    threading.Timer(1.0, answer).start()
    threading.Timer(1.5, show, (flink, "RUNNING")).start()
    threading.Thread(target=ends_when_cancelled, args=(flink,), daemon=True).start()
    assert cancel_job(FlinkRest(flink.address), "mine", late_seconds=0.9)
    assert CANCEL in flink.asked


def test_the_guard_waits_longer_for_a_job_that_was_handed_over(
    flink: Answers, tmp_path: Path
) -> None:
    (tmp_path / SUBMITTING_NAME).touch()
    command = [sys.executable, "-m", "runners.job_guard", str(tmp_path), flink.address, "mine"]
    guard = subprocess.Popen([*command, "sleep", "600"], stdin=subprocess.PIPE, env=environment({}))
    # What a killed command leaves: its end of the pipe is closed, without a word.
    assert guard.stdin is not None
    guard.stdin.close()
    time.sleep(7)
    assert guard.poll() is None, "it looked for five seconds only"
    show(flink, "RUNNING")
    ends_when_cancelled(flink)
    assert guard.wait(20) == 0


def test_the_guard_of_a_killed_command_removes_the_folder(flink: Answers, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    guard = [sys.executable, "-m", "runners.job_guard", str(folder), flink.address, "mine"]
    begin = "import subprocess, sys, time; "
    begin += "subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE); time.sleep(600)"
    command = subprocess.Popen(
        [sys.executable, "-c", begin, *guard, "sleep", "600"], env=environment({})
    )
    wait_until((folder / LOG_NAME).exists)
    command.kill()
    command.wait()
    wait_until(lambda: not folder.exists())


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.1)
