"""The children of one owner: each lane holds one at a time, all can be ended at once."""

from __future__ import annotations

import shutil
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

from transforms.errors import CurateError
from transforms.media.child_limits import ChildLimits
from transforms.media.child_messages import LAST_MESSAGES, CutJob, Job, Message
from transforms.media.child_process import ChildEndedError, ChildProcess
from transforms.media.clip_files import cutting_folder


class LiveChildren:
    """The children there are now; any thread may ask."""

    def __init__(self, scratch: Path, limits: ChildLimits) -> None:
        self._scratch = scratch
        self._logs = scratch / "children" / uuid.uuid4().hex
        self._limits = limits
        self._lock = threading.Lock()
        self._children: set[ChildProcess] = set()
        self._closed = False

    def start(self) -> ChildProcess:
        """Start a child.

        Raises:
            CurateError: No more children are wanted, or the system refuses to start one.
        """
        with self._lock:
            if self._closed:
                raise CurateError("no more children are wanted: their owner is closed")
            try:
                child = ChildProcess(self._scratch, logs=self._logs, limits=self._limits)
            except OSError as error:
                raise CurateError(
                    f"a process that decodes video could not be started in {self._scratch}: {error}"
                ) from error
            self._children.add(child)
        return child

    def end(self, child: ChildProcess) -> None:
        """End this child and wait for it."""
        with self._lock:
            self._children.discard(child)
        child.close()

    def pids(self) -> tuple[int, ...]:
        """Return the process ids, sorted."""
        with self._lock:
            return tuple(sorted(child.pid for child in self._children))

    def kill_all(self) -> None:
        """End every child at once; none is started from now on."""
        with self._lock:
            self._closed = True
            for child in self._children:
                child.kill()

    def remove_logs(self) -> None:
        """Remove what the children wrote to standard error; all of them have ended."""
        if self._logs.exists():
            shutil.rmtree(self._logs)


class Lane:
    """One child at a time, started when a job needs it. Belongs to one thread."""

    def __init__(self, scratch: Path, children: LiveChildren) -> None:
        self._scratch = scratch
        self._children = children
        self._child: ChildProcess | None = None

    def attempt(self, job: Job) -> Iterator[Message]:
        """Give the job to the child; yield what it says, one of ``LAST_MESSAGES`` last.

        Raises:
            ChildEndedError: It ended; the next attempt gets a new one.
            CurateError: No child can work here.
        """
        if self._child is None:
            self._child = self._children.start()
        try:
            self._child.send(job)
            for message in self._child.messages():
                yield message
                if isinstance(message, LAST_MESSAGES):
                    return
        except ChildEndedError:
            self.close()
            raise
        finally:
            folder = cutting_folder(self._scratch, job.job_id)
            if isinstance(job, CutJob) and folder.exists():
                shutil.rmtree(folder)

    def close(self) -> None:
        """End the child, if there is one."""
        if self._child is not None:
            child, self._child = self._child, None
            self._children.end(child)
