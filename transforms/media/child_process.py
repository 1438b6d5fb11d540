"""One child as its owner sees it: started, given jobs, listened to, ended."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

from transforms.errors import CurateError
from transforms.media.child_limits import MIB, ChildLimits
from transforms.media.child_messages import Hello, Job, Message, Unusable, from_line, to_line
from transforms.media.out_of_memory import OUT_OF_MEMORY_STATUS
from transforms.storage.routes import routes_variable

MODULE = "transforms.media.child"
START_SECONDS = 120.0
"""How long a child may take to import what it needs; much on a cold network file system."""
EXIT_SECONDS = 10
"""How long a child that has closed its output may take to end."""
TAIL_LINES = 30
TAIL_BYTES = 8192
_READ_BYTES = 1 << 16
# One core is one slot: libraries that start a thread per core would only get in each other's way.
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


class ChildEndedError(CurateError):
    """The child ended, or was ended because nothing was heard of it.

    Args:
        reason: ``crash``, ``hang`` or ``memory``.
        how: What happened, one clause for people.
        log_tail: The last lines of its standard error.
    """

    def __init__(self, reason: str, how: str, log_tail: str) -> None:
        super().__init__(f"the process {how}; its last lines: {log_tail or '(none)'}")
        self.reason = reason


class ChildProcess:
    """A running child. One thread may use it; any thread may call ``kill``."""

    def __init__(self, scratch: Path, *, logs: Path, limits: ChildLimits) -> None:
        """Start the child.

        It leads a process group of its own, so that ending it leaves nothing behind and Ctrl-C
        does not reach it.

        Args:
            scratch: Where it puts clips; absolute.
            logs: Folder for its standard error, made if absent.
            limits: What it may use and how long it may show no progress.

        Raises:
            OSError: It cannot be started.
            PreflightError: ``BEAM_CURATE_SLOTS`` is not a whole number of at least 1.
        """
        logs.mkdir(parents=True, exist_ok=True)
        self._log = logs / f"{uuid.uuid4().hex}.stderr"
        self._silence_seconds = limits.silence_seconds
        self._memory_bytes = limits.memory_bytes()
        self._unread = b""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    MODULE,
                    *map(str, (scratch, os.getpid(), self._memory_bytes)),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                bufsize=0,
                cwd=logs,
                env=_environment(),
                start_new_session=True,
            )
        self._has_started = False

    @property
    def pid(self) -> int:
        """Process id of the child."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the child has not ended."""
        return self._process.poll() is None

    def send(self, job: Job) -> None:
        """Give the child a job.

        Raises:
            ChildEndedError: It is not there any more.
        """
        assert self._process.stdin is not None
        data = memoryview(to_line(job))
        try:
            while data:
                data = data[self._process.stdin.write(data) :]
        except BrokenPipeError:
            raise self._ended() from None

    def messages(self) -> Iterator[Message]:
        """Yield what the child says, endlessly.

        Raises:
            ChildEndedError: It ended, or said nothing for ``silence_seconds`` and was killed.
            CurateError: It ended before it had started, or says that it cannot work here.
        """
        while True:
            message = self._next_message()
            if isinstance(message, Unusable):
                raise CurateError(message.message)
            self._has_started = True
            if not isinstance(message, Hello):
                yield message

    def kill(self) -> None:
        """End the child and its process group at once."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)

    def close(self) -> None:
        """End the child, wait for it, and remove its log."""
        self.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
        self._log.unlink(missing_ok=True)

    def _next_message(self) -> Message:
        while b"\n" not in self._unread:
            self._unread += self._read()
        line, _, self._unread = self._unread.partition(b"\n")
        return from_line(line)

    def _read(self) -> bytes:
        assert self._process.stdout is not None
        handle = self._process.stdout.fileno()
        poller = select.poll()
        poller.register(handle, select.POLLIN)
        patience = self._silence_seconds if self._has_started else START_SECONDS
        if not poller.poll(patience * 1000):
            raise self._silent(patience)
        data = os.read(handle, _READ_BYTES)
        if not data:
            raise self._ended()
        return data

    def _silent(self, seconds: float) -> CurateError:
        self.kill()
        self._process.wait()
        how = f"gave no sign of progress for {seconds:g} seconds and was ended"
        return self._error("hang", how)

    def _ended(self) -> CurateError:
        try:
            status = self._process.wait(timeout=EXIT_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            status = self._process.wait()
        if status == OUT_OF_MEMORY_STATUS:
            return self._error("memory", self._wanted_memory())
        if status < 0:
            return self._error("crash", f"was ended by signal {_signal_name(-status)}")
        return self._error("crash", f"ended with exit status {status}")

    def _wanted_memory(self) -> str:
        if not self._memory_bytes:
            return "could not get the memory that it asked for"
        return (
            f"could not get the memory that it asked for; it may have "
            f"{self._memory_bytes // MIB} MiB (--child_memory_limit_mb)"
        )

    def _error(self, reason: str, how: str) -> CurateError:
        tail = _tail(self._log)
        if self._has_started:
            return ChildEndedError(reason, how, tail)
        return CurateError(
            f"the process that decodes video could not start: "
            f"{sys.executable} -m {MODULE} {how}; its last lines: {tail or '(none)'}"
        )


def _environment() -> dict[str, str]:
    # The child finds the packages that this process found, from any folder, installed or not.
    path = os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path)
    own = {"PYTHONPATH": path, "PYTHONFAULTHANDLER": "1"}
    # It opens sources as this process does, also those with credentials of their own.
    return {**_ONE_THREAD, **os.environ, **routes_variable(), **own}


def _signal_name(number: int) -> str:
    known = {signal.SIGKILL: "SIGKILL, as when memory runs out", signal.SIGSEGV: "SIGSEGV"}
    return f"{number} ({known[signal.Signals(number)]})" if number in known else str(number)


def _tail(log: Path) -> str:
    with log.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - TAIL_BYTES))
        lines = file.read().decode("utf-8", "replace").split("\n")
    # A crash ends with a long list of what was loaded; where it happened stands above.
    told = [line.strip() for line in lines if line.strip() and "Extension modules:" not in line]
    return " | ".join(told[-TAIL_LINES:])
