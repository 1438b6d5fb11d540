"""A child that probes, cuts and looks.

``python -m transforms.media.child SCRATCH PARENT_PID MEMORY_BYTES``; 0 bytes: no limit.

Jobs come in as JSON lines on standard input, messages go out as JSON lines on standard output;
whatever libraries print goes to standard error. The child ends when standard input is closed,
also in the middle of a job: that is how it follows its parent, however that one died. When it
cannot get the memory that it asks for, it ends with a status of its own.
"""

from __future__ import annotations

import errno
import gc
import os
import queue
import signal
import stat
import sys
import threading
import time
import traceback
from pathlib import Path
from types import TracebackType

import av

from transforms.errors import PreflightError
from transforms.media.child_limits import lift_memory_limit, limit_memory
from transforms.media.child_messages import (
    JOBS,
    Hello,
    Job,
    Message,
    Tick,
    Unusable,
    from_line,
    to_line,
)
from transforms.media.child_work import TICK_SECONDS, Worker
from transforms.media.out_of_memory import OUT_OF_MEMORY_STATUS, is_out_of_memory
from transforms.storage.interface import StoreAwayError

MAX_LOG_BYTES = 1 << 20
_FULL = (errno.ENOSPC, errno.EDQUOT)


def main(scratch: Path, parent: int) -> int:
    """Serve jobs until standard input is closed; return the exit status."""
    # Nobody but the parent ends a child: Ctrl-C is for the parent, which then closes the pipe.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # What is imported stays. Not looking through it makes a collection 1000 times as fast, and
    # pictures in reference cycles are collected often (see observers/motion.py).
    gc.freeze()
    emit = _Messages()
    jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()
    threading.Thread(target=_read_jobs, args=(jobs,), daemon=True).start()
    worker = Worker(scratch, emit)
    threading.Thread(target=_watch, args=(worker, emit, parent), daemon=True).start()
    emit(Hello(os.getpid()))
    while True:
        job = jobs.get()
        try:
            worker.run(job)
        except (PreflightError, StoreAwayError) as error:
            emit(Unusable(str(error)))
            return 1
        except (OSError, av.FFmpegError) as error:
            if error.errno not in _FULL:
                raise
            emit(Unusable(_no_room(scratch, error)))
            return 1


def _no_room(scratch: Path, error: OSError | av.FFmpegError) -> str:
    """Return which folder has no room: scratch, unless the error names a file elsewhere."""
    reason = os.strerror(error.errno or 0)
    file = getattr(error, "filename", None)
    if file and not Path(os.fsdecode(file)).absolute().is_relative_to(scratch):
        return f"{file}: {reason}"
    return (
        f"scratch folder {scratch}: {reason}; make room there, or name another folder with "
        "--scratch_path"
    )


class _Messages:
    """Writes messages to what was standard output, whole lines, from any thread."""

    def __init__(self) -> None:
        # Whoever prints, in Python or in C, must not come between the lines.
        self._handle = os.dup(1)
        os.dup2(2, 1)
        self._lock = threading.Lock()

    def __call__(self, message: Message) -> None:
        line = memoryview(to_line(message))
        with self._lock:
            while line:
                line = line[os.write(self._handle, line) :]


def _read_jobs(jobs: queue.SimpleQueue[Job]) -> None:
    for line in sys.stdin.buffer:
        job = from_line(line)
        if isinstance(job, JOBS):
            jobs.put(job)
    os._exit(0)


def _watch(worker: Worker, emit: _Messages, parent: int) -> None:
    """Tell of progress, keep the log small, and end with the parent."""
    main_thread = threading.main_thread().native_id
    before: tuple[Tick, int] | None = None
    while True:
        time.sleep(TICK_SECONDS / 2)
        # The pipe to a dead parent stays open if another process inherited its end.
        if os.getppid() != parent:
            os._exit(0)
        _limit_log()
        now = (worker.progress(), _bytes_read(main_thread))
        if now != before and now[0].part != "wait":
            emit(now[0])
        before = now


def _bytes_read(thread: int | None) -> int:
    """Return what the thread has read so far; where the system does not tell, seconds computed.

    It shows progress where no source frame is decoded: in reading packets, passing through, and
    looking.
    """
    try:
        text = Path(f"/proc/self/task/{thread}/io").read_text()
    except OSError:
        return int(time.process_time())
    return int(text.split()[1])


def _limit_log() -> None:
    status = os.fstat(2)
    if stat.S_ISREG(status.st_mode) and status.st_size > MAX_LOG_BYTES:
        os.ftruncate(2, 0)


def _end(
    kind: type[BaseException], error: BaseException | None, trace: TracebackType | None
) -> None:
    # No orderly shutdown: it would wait for, or trip over, the thread that reads standard input.
    lift_memory_limit()
    traceback.print_exception(kind, error, trace)
    os._exit(OUT_OF_MEMORY_STATUS if error is not None and is_out_of_memory(error) else 1)


if __name__ == "__main__":
    sys.excepthook = _end
    threading.excepthook = lambda failed: _end(
        failed.exc_type, failed.exc_value, failed.exc_traceback
    )
    limit_memory(int(sys.argv[3]))
    os._exit(main(Path(sys.argv[1]), int(sys.argv[2])))
