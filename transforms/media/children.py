"""A pool of children that decode: a decoder's crash or hang costs one clip at most."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from transforms.errors import CurateError
from transforms.media.child_lane import Lane, LiveChildren
from transforms.media.child_limits import ChildLimits
from transforms.media.child_messages import (
    LAST_MESSAGES,
    ClipReport,
    CutJob,
    JobClip,
    JobDone,
    LookJob,
    PoolJob,
    PoolReport,
)
from transforms.media.clip_files import discard, has_room
from transforms.media.job_attempts import run_job

__all__ = ["ChildPool", "ClipReport", "CutJob", "JobClip", "JobDone", "LookJob"]

_POLL_SECONDS = 1.0


class ChildPool:
    """Up to ``num_children`` jobs going, each in a child, and as many jobs queued again.

    One thread per job gives it to a child and hears it, so children are never kept waiting by
    whoever collects the reports, and a child that ends or hangs is replaced at once. Children are
    started when there is work for them. They end with this process, however it ends.

    All methods belong to one thread.
    """

    def __init__(
        self,
        scratch: Path,
        num_children: int,
        *,
        limits: ChildLimits = ChildLimits(),  # noqa: B008 - frozen
        budget_bytes: int | None = None,
        children: LiveChildren | None = None,
    ) -> None:
        """Make the pool; no child is started yet.

        Args:
            scratch: Folder of this pool alone, made if absent; for its layout see ``clip_files``.
            num_children: Most children at a time, at least 1. How many of them work is also
                limited by the slots of the machine.
            limits: What each child may use and how long it may be silent.
            budget_bytes: While the scratch folder holds this much, no job is begun beside another.
            children: Those of ``scratch`` that others use as well, who end them and say what they
                may use. None: the pool has its own, which end with it.

        Raises:
            ValueError: ``num_children`` is below 1.
        """
        if num_children < 1:
            raise ValueError(f"a pool needs num_children >= 1, got {num_children}")
        self.scratch = scratch.absolute()
        self._num_children = num_children
        self._budget_bytes = budget_bytes
        self._jobs: queue.SimpleQueue[PoolJob | None] = queue.SimpleQueue()
        self._arrived: queue.SimpleQueue[PoolReport | CurateError] = queue.SimpleQueue()
        self._ready: deque[PoolReport] = deque()
        self._num_open = 0
        self._threads: list[threading.Thread] = []
        self._lanes: list[Lane] = []
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._owns_children = children is None
        self._children = LiveChildren(self.scratch, limits) if children is None else children
        self._num_running = 0

    @property
    def capacity(self) -> int:
        """How many more jobs ``submit`` takes without blocking."""
        return max(0, 2 * self._num_children - self._num_open)

    @property
    def num_open(self) -> int:
        """Submitted jobs whose last report has not been collected."""
        return self._num_open + sum(isinstance(report, LAST_MESSAGES) for report in self._ready)

    @property
    def child_pids(self) -> tuple[int, ...]:
        """Process ids of the children there are now."""
        return self._children.pids()

    def submit(self, job: PoolJob) -> None:
        """Take a job; blocks while the pool is full.

        Raises:
            CurateError: No child can work here, or the pool is closed.
        """
        while self.capacity == 0:
            self._collect(self._next_arrival())
        if self._closed.is_set():
            raise CurateError("the pool of children is closed")
        self._num_open += 1
        self._jobs.put(job)
        if len(self._threads) < min(self._num_children, self._num_open):
            lane = Lane(self._children)
            self._lanes.append(lane)
            thread = threading.Thread(
                target=self._serve, args=(lane,), daemon=True, name="child-pool"
            )
            self._threads.append(thread)
            thread.start()

    def reports(self, *, block: bool) -> Iterator[PoolReport]:
        """Yield what has been finished since the last call.

        Args:
            block: Wait until there is something, unless no job is open.

        Raises:
            CurateError: No child can work here: it cannot start, the disk is full, ...
        """
        if block and not self._ready and self._num_open:
            self._collect(self._next_arrival())
        with contextlib.suppress(queue.Empty):
            while True:
                self._collect(self._arrived.get_nowait())
        while self._ready:
            yield self._ready.popleft()

    def close(self) -> None:
        """End every child with a job at once, wait for their threads, and end what is the pool's
        own."""
        self._closed.set()
        for lane in self._lanes:
            lane.close()
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()
        self._threads.clear()
        self._lanes.clear()
        if self._owns_children:
            self._children.close()

    def __enter__(self) -> ChildPool:
        """Return the pool itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the pool."""
        self.close()

    def _next_arrival(self) -> PoolReport | CurateError:
        while True:
            with contextlib.suppress(queue.Empty):
                return self._arrived.get(timeout=_POLL_SECONDS)
            if not all(thread.is_alive() for thread in self._threads):
                raise RuntimeError("a thread of the pool of children ended; see standard error")

    def _collect(self, arrival: PoolReport | CurateError) -> None:
        if isinstance(arrival, CurateError):
            # Whoever asks again gets the same answer.
            self._arrived.put(arrival)
            raise arrival
        if isinstance(arrival, LAST_MESSAGES):
            self._num_open -= 1
        self._ready.append(arrival)

    def _serve(self, lane: Lane) -> None:
        """Do one job after the other, until the pool is closed."""
        while (job := self._jobs.get()) is not None:
            try:
                with self._room():
                    for report in run_job(job, lane.attempt):
                        self._finish(report)
            except CurateError as error:
                self._arrived.put(error)
                return

    def _finish(self, report: PoolReport) -> None:
        if isinstance(report, ClipReport) and report.failure is not None:
            # What there is of it is of no use to anybody.
            discard(self.scratch, report.clip_id)
        self._arrived.put(report)

    @contextlib.contextmanager
    def _room(self) -> Iterator[None]:
        """Wait until there is room for a job, or no other one that could make any."""
        while not self._may_run():
            self._closed.wait(_POLL_SECONDS)
        try:
            yield
        finally:
            with self._lock:
                self._num_running -= 1

    def _may_run(self) -> bool:
        with self._lock:
            must_wait = self._num_running and not self._closed.is_set()
            if must_wait and not has_room(self.scratch, budget_bytes=self._budget_bytes):
                return False
            self._num_running += 1
            return True
