"""Children at work and idle: a lane gives one job at a time to one of them."""

from __future__ import annotations

import shutil
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

from transforms.errors import CurateError
from transforms.media.child_limits import ChildLimits
from transforms.media.child_messages import LAST_MESSAGES, CutJob, Job, Message
from transforms.media.child_process import ChildProcess
from transforms.media.clip_files import cutting_folder


class LiveChildren:
    """The children there are now: each works on a job, or is idle and takes the next of any kind.

    Any thread may call any method.
    """

    def __init__(self, scratch: Path, limits: ChildLimits) -> None:
        self.scratch = scratch.absolute()
        self._logs = self.scratch / "children" / uuid.uuid4().hex
        self._limits = limits
        self._lock = threading.Lock()
        self._children: set[ChildProcess] = set()
        self._idle: list[ChildProcess] = []
        self._closed = False

    def take(self) -> ChildProcess:
        """Return a child that is idle, else a new one; it works until it is given back or ended.

        Raises:
            CurateError: No more children are wanted, or the system refuses to start one.
        """
        with self._lock:
            if self._closed:
                raise CurateError("no more children are wanted: their owner is closed")
            while self._idle:
                # The last one: what it needs is still in the processor's caches.
                child = self._idle.pop()
                if child.is_running:
                    return child
                self._children.discard(child)
                child.close()
            child = self._start()
            self._children.add(child)
        return child

    def give_back(self, child: ChildProcess) -> None:
        """Let a child wait for its next job; its last one is done."""
        with self._lock:
            self._idle.append(child)

    def end(self, child: ChildProcess) -> None:
        """End this child, which works, and wait for it."""
        with self._lock:
            self._children.discard(child)
        child.close()

    def end_idle(self) -> None:
        """End the children that wait for a job."""
        with self._lock:
            idle, self._idle = self._idle, []
            self._children.difference_update(idle)
        for child in idle:
            child.close()

    def pids(self) -> tuple[int, ...]:
        """Return the process ids, sorted."""
        with self._lock:
            return tuple(sorted(child.pid for child in self._children))

    def close(self) -> None:
        """End every child at once; none is started from now on.

        No lane is at work any more.
        """
        with self._lock:
            self._closed = True
            children, self._children, self._idle = self._children, set(), []
            for child in children:
                child.kill()
        for child in children:
            child.close()
        if self._logs.exists():
            shutil.rmtree(self._logs)

    def _start(self) -> ChildProcess:
        try:
            return ChildProcess(self.scratch, logs=self._logs, limits=self._limits)
        except OSError as error:
            raise CurateError(
                f"a process that decodes video could not be started in {self.scratch}: {error}"
            ) from error


class Lane:
    """One job at a time, each with a child that is held only as long as the job takes.

    ``attempt`` belongs to one thread; any thread may call ``close``.
    """

    def __init__(self, children: LiveChildren) -> None:
        self._children = children
        self._lock = threading.Lock()
        self._child: ChildProcess | None = None
        self._closed = False

    def attempt(self, job: Job) -> Iterator[Message]:
        """Give the job to a child; yield what it says, one of ``LAST_MESSAGES`` last.

        Raises:
            ChildEndedError: It ended; the next attempt gets a new one.
            CurateError: No child can work here, or the lane is closed.
        """
        child = self._take()
        try:
            child.send(job)
            for message in child.messages():
                if isinstance(message, LAST_MESSAGES):
                    # Before it is told: who hears it may have the next job.
                    self._give_back(child)
                    yield message
                    return
                yield message
        finally:
            self._end(child)
            folder = cutting_folder(self._children.scratch, job.job_id)
            if isinstance(job, CutJob) and folder.exists():
                shutil.rmtree(folder)

    def close(self) -> None:
        """End the child at once if there is one, also in the middle of its job; no more jobs."""
        with self._lock:
            self._closed = True
            if self._child is not None:
                self._child.kill()

    def _take(self) -> ChildProcess:
        with self._lock:
            if self._closed:
                raise CurateError("this lane takes no more jobs: it is closed")
            self._child = self._children.take()
            return self._child

    def _give_back(self, child: ChildProcess) -> None:
        with self._lock:
            self._child = None
            if not self._closed:
                self._children.give_back(child)
                return
        self._children.end(child)

    def _end(self, child: ChildProcess) -> None:
        """End the child unless it was given back."""
        with self._lock:
            if self._child is not child:
                return
            self._child = None
        self._children.end(child)
