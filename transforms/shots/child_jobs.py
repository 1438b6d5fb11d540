"""Beam steps that give one job per element to children and emit what they report."""

from __future__ import annotations

import abc
import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.timestamp import MIN_TIMESTAMP
from apache_beam.utils.windowed_value import WindowedValue

from transforms.layout import lease_uri
from transforms.lease import Heartbeat
from transforms.media.child_limits import ChildLimits
from transforms.media.child_messages import FramesJob, FramesReport, IndexJob, IndexReport
from transforms.media.children import ChildPool
from transforms.media.slots import children_here
from transforms.run_context import RunContext
from transforms.scratch import scratch_here

Resources = contextlib.ExitStack


class ChildJobs(beam.DoFn, abc.ABC):
    """Keeps one job per child going and one queued; emits in the order in which they finish.

    Children live as long as a bundle: between bundles, which is for ever when the next step waits
    for all of them, nothing is held.
    """

    def __init__(self, num_children: int, limits: ChildLimits, context: RunContext) -> None:
        self.context = context
        self._num_children = num_children
        self._limits = limits
        self._pool: ChildPool | None = None
        self._open: dict[str, tuple[Any, Resources]] = {}
        self._heartbeat = Heartbeat(lease_uri(context.root), context.run_id)

    @abc.abstractmethod
    def begin(self, element: Any, resources: Resources) -> IndexJob | FramesJob | Any:
        """Return a job for the element, or what to emit without one.

        Args:
            element: What came in.
            resources: Closed when the job has been reported.
        """

    @abc.abstractmethod
    def end(self, element: Any, job_report: IndexReport | FramesReport) -> Iterator[Any]:
        """Yield what to emit for an element whose job has been reported."""

    @property
    def scratch(self) -> Path:
        """The folder for files in work."""
        # A pool's folder is its own: two workers, and two steps of one, must not meet.
        return scratch_here(self.context.scratch) / f"worker-{os.getpid()}" / type(self).__name__

    def start_bundle(self) -> None:
        """Renew the run's lease from now on."""
        # Outputs of a job belong to the bundle that brought it; this one ended in an error.
        self.teardown()
        self._heartbeat.start()

    def process(self, element: Any) -> Iterator[Any]:
        """Begin the element's job; yield what has finished."""
        resources = Resources()
        job = self.begin(element, resources)
        if not isinstance(job, IndexJob | FramesJob):
            resources.close()
            yield from job
            return
        if self._pool is None:
            num_children = children_here(self._num_children)
            self._pool = ChildPool(self.scratch, num_children, limits=self._limits)
        while self._pool.capacity == 0:
            yield from self._finished(self._pool, block=True)
        self._open[job.job_id] = (element, resources)
        self._pool.submit(job)
        yield from self._finished(self._pool, block=False)

    def finish_bundle(self) -> Iterator[WindowedValue]:
        """Yield the rest and end the children."""
        while self._open and self._pool is not None:
            for value in self._finished(self._pool, block=True):
                yield WindowedValue(value, MIN_TIMESTAMP, (GlobalWindow(),))
        self.teardown()

    def teardown(self) -> None:
        """End what is open."""
        # Called also after an exception of a later step, which skips finish_bundle.
        self._heartbeat.stop()
        for _, resources in self._open.values():
            resources.close()
        self._open.clear()
        if self._pool is not None:
            self._pool.close()
            self._pool = None

    def _finished(self, pool: ChildPool, *, block: bool) -> Iterator[Any]:
        for report in pool.reports(block=block):
            assert isinstance(report, IndexReport | FramesReport)
            element, resources = self._open.pop(report.job_id)
            resources.close()
            yield from self.end(element, report)
