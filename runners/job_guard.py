"""Runs Beam's job server, and cancels the Flink job when the command is gone.

``python -m runners.job_guard FOLDER MASTER JOB_NAME COMMAND...``, started by ``job_server``. The
command holds its standard input open; when that closes without the word ``done`` before, the
command was killed, and what it submitted is cancelled: otherwise it would go on without anybody,
beside the run that comes next.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import FrameType

from runners.flink_rest import FlinkAnswerError, FlinkRest, FlinkUnreachableError

DONE = b"done"
ENDED_NAME = "ended"
"""File that tells the exit status of a job server that has ended."""
LOG_NAME = "job_server.log"
SUBMITTING_NAME = "submitting"
"""File that is there from when the job was handed over, until Flink refuses it."""
_STOP_SECONDS = 3.0
_LOOK_SECONDS = 0.2
_CANCEL_SECONDS = 30.0
APPEAR_SECONDS = 120.0
"""So long a job may take to appear that was handed over: its jar of 160 MB goes ahead of it."""
LATE_SECONDS = 5.0
"""So long a job is looked for that was not handed over."""


def main(folder: Path, master: str, job_name: str, command: list[str]) -> None:
    """Run the job server until the command has no more need of it."""
    command_pid = os.getppid()
    # Ctrl-C is for the command.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    is_over = threading.Event()

    def end(_signal: int, _frame: FrameType | None) -> None:
        is_over.set()

    signal.signal(signal.SIGTERM, end)
    told: list[bytes] = []

    def listen() -> None:
        told.append(sys.stdin.buffer.read())
        is_over.set()

    with (folder / LOG_NAME).open("ab") as log:
        server = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
        )
        threading.Thread(target=listen, daemon=True).start()
        while not is_over.wait(_LOOK_SECONDS):
            status = server.poll()
            if status is not None:
                (folder / ENDED_NAME).write_text(str(status))
                is_over.wait()
        # Before the server ends: the command removes this folder when that takes too long.
        is_submitting = (folder / SUBMITTING_NAME).exists()
        _stop(server)
    if not any(DONE in text for text in told):
        late_seconds = APPEAR_SECONDS if is_submitting else LATE_SECONDS
        cancel_job(FlinkRest(master), job_name, late_seconds=late_seconds)
    if os.getppid() != command_pid:
        # Killed, it cannot remove what it began.
        shutil.rmtree(folder, ignore_errors=True)


def cancel_job(rest: FlinkRest, job_name: str, *, late_seconds: float = LATE_SECONDS) -> bool:
    """Cancel every job of this name and wait for its end; return whether none is left running.

    A cluster that does not answer any more, and a job that does not end, is waited for half a
    minute, then left alone.

    Args:
        rest: The JobManager.
        job_name: Of the job.
        late_seconds: So long after the JobManager's first answer the job may still appear.
    """
    late_at = None
    given_up_at = time.monotonic() + _CANCEL_SECONDS
    while time.monotonic() < given_up_at:
        try:
            named = [job for job in rest.jobs() if job.name == job_name]
            if late_at is None:
                late_at = time.monotonic() + late_seconds
            running = [job for job in named if not job.has_ended]
            for job in running:
                rest.cancel(job.job_id)
            if not running and (named or time.monotonic() > late_at):
                return True
            if not running:
                given_up_at = time.monotonic() + _CANCEL_SECONDS
        except (FlinkUnreachableError, FlinkAnswerError):
            # Perhaps only for a moment.
            pass
        time.sleep(_LOOK_SECONDS)
    return False


def _stop(server: subprocess.Popen[bytes]) -> None:
    server.terminate()
    try:
        server.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4:])
