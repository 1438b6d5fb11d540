"""Beam's job server for one job: started below a guard, stopped at the end."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from runners.boot_order import python_path
from runners.job_guard import DONE, ENDED_NAME, LOG_NAME, SUBMITTING_NAME
from transforms.errors import CurateError

START_SECONDS = 120.0
_LOOK_SECONDS = 0.1
_SHORT_LIVED = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
"""It works for seconds: time spent on making it faster is lost."""
_STOP_SECONDS = 45.0
_SHOWN_LINES = 6


class JobServerError(CurateError):
    """Beam's job server does not start, or has ended."""


class JobServer:
    """A running job server.

    Args:
        folder: Holds its log and, when it has ended, its exit status.
        endpoint: ``HOST:PORT`` of its job service.
    """

    def __init__(self, folder: Path, endpoint: str) -> None:
        self._folder = folder
        self.endpoint = endpoint

    @property
    def end(self) -> str | None:
        """How it ended, as a sentence; None while it runs."""
        path = self._folder / ENDED_NAME
        if not path.exists():
            return None
        return f"Beam's job server ended with status {path.read_text()}{self.last_words}"

    @property
    def is_submitting(self) -> bool:
        """Whether the job was handed over, and Flink has not refused it.

        The guard is told by a file: from then on a job may appear that nobody has seen yet.
        """
        return (self._folder / SUBMITTING_NAME).exists()

    @is_submitting.setter
    def is_submitting(self, value: bool) -> None:
        if value:
            (self._folder / SUBMITTING_NAME).touch()
        else:
            (self._folder / SUBMITTING_NAME).unlink(missing_ok=True)

    @property
    def last_words(self) -> str:
        """The end of its log, to be put behind a message."""
        log = (self._folder / LOG_NAME).read_text(errors="replace").strip().splitlines()
        # Of Java's traces what counts are their first lines.
        said = [line for line in log if not line.startswith(("\tat ", "\t... "))]
        lines = "\n".join(f"  {line}" for line in said[-_SHOWN_LINES:])
        return f"; its last words:\n{lines}" if lines else ", without a word"


@contextlib.contextmanager
def running_job_server(jar: str, master: str, job_name: str) -> Iterator[JobServer]:
    """Run a job server while the context is open.

    Args:
        jar: Of Beam's job server for the cluster's Flink.
        master: URL of the JobManager's REST interface.
        job_name: Name of the job that will be submitted; the guard cancels it when this process
            is killed.

    Raises:
        JobServerError: It does not start.
    """
    folder = Path(tempfile.mkdtemp(prefix="beam-curate-flink-"))
    port = _free_port()
    guard = _start_guard(folder, master, job_name, _command(jar, master, port, folder))
    try:
        server = JobServer(folder, f"localhost:{port}")
        _wait(server, port, guard)
        yield server
        assert guard.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            guard.stdin.write(DONE)
            guard.stdin.flush()
    finally:
        assert guard.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            guard.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            guard.wait(_STOP_SECONDS)
        shutil.rmtree(folder, ignore_errors=True)


def _command(jar: str, master: str, port: int, folder: Path) -> list[str]:
    return [
        *(
            java_path(),
            "-Xmx1g",
            # Out of memory it would live on and do nothing.
            "-XX:+ExitOnOutOfMemoryError",
            *_SHORT_LIVED,
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
            "-jar",
            jar,
        ),
        f"--flink-master={master}",
        *("--job-host=localhost", f"--job-port={port}"),
        *("--artifact-port=0", "--expansion-port=0", f"--artifacts-dir={folder / 'artifacts'}"),
    ]


def java_path() -> str:
    """Return the Java that is run: of JAVA_HOME where that is set."""
    home = os.environ.get("JAVA_HOME")
    return str(Path(home) / "bin" / "java") if home else "java"


def _start_guard(
    folder: Path, master: str, job_name: str, command: list[str]
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "runners.job_guard", str(folder), master, job_name, *command],
        stdin=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": python_path()},
        # A signal to the group of the command must leave it to do its work.
        start_new_session=True,
    )


def _wait(server: JobServer, port: int, guard: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        if server.end or guard.poll() is not None:
            raise JobServerError(server.end or "Beam's job server could not be started")
        with contextlib.suppress(OSError):
            socket.create_connection(("localhost", port), timeout=1).close()
            return
        if time.monotonic() > deadline:
            raise JobServerError(
                f"Beam's job server did not start within {START_SECONDS:.0f} seconds"
            )
        time.sleep(_LOOK_SECONDS)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return int(probe.getsockname()[1])
