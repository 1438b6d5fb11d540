"""Beam steps that give jobs to children and emit what they report."""

from __future__ import annotations

import abc
import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.timestamp import MIN_TIMESTAMP
from apache_beam.utils.windowed_value import WindowedValue

from transforms.lease import Heartbeat
from transforms.media.child_limits import ChildLimits
from transforms.media.child_messages import LAST_MESSAGES, PoolJob, PoolReport
from transforms.media.children import ChildPool
from transforms.media.shared_children import shared_children
from transforms.media.slots import children_here
from transforms.run_context import RunContext
from transforms.scratch import scratch_here

Resources = contextlib.ExitStack


@dataclass(frozen=True, slots=True)
class Begun:
    """A job that an element needs."""

    job: PoolJob
    state: Any
    """Handed to ``end`` with each of the job's reports."""


def child_scratch(context: RunContext) -> Path:
    """Return the folder for files in work of this process.

    Two workers on one machine have two; the children of all steps of a worker share one.
    """
    return scratch_here(context.scratch) / f"worker-{os.getpid()}"


class ChildJobs(beam.DoFn, abc.ABC):
    """Keeps one job per child going and one queued; emits in the order in which they finish.

    Open jobs belong to this instance and to one bundle. Children are shared with the other steps
    of the process and end with the last of these steps.
    """

    def __init__(self, num_children: int, limits: ChildLimits, context: RunContext) -> None:
        self.context = context
        self._num_children = num_children
        self._limits = limits
        self._pool: ChildPool | None = None
        self._held = contextlib.ExitStack()
        self._open: dict[str, tuple[Any, Resources]] = {}
        self._heartbeat = Heartbeat(context.lease_uri, context.run_id)

    @abc.abstractmethod
    def begin(self, element: Any, resources: Resources) -> Iterator[Any | Begun]:
        """Yield what to emit at once, and a job if the element needs one, last.

        Args:
            element: What came in.
            resources: Closed when the job is done.
        """

    @abc.abstractmethod
    def end(self, state: Any, report: PoolReport) -> Iterator[Any]:
        """Yield what to emit for a report on a job that ``begin`` began."""

    @property
    def scratch(self) -> Path:
        """The folder for files in work."""
        return child_scratch(self.context)

    def start_bundle(self) -> None:
        """Renew the run's lease from now on."""
        # Outputs of a job belong to the bundle that brought it; this one ended in an error.
        if self._open:
            self.teardown()
        self._heartbeat.start()

    def process(self, element: Any) -> Iterator[Any]:
        """Begin the element's job; yield what has finished."""
        with Resources() as resources:
            for found in self.begin(element, resources):
                if isinstance(found, Begun):
                    yield from self._submit(found, resources)
                else:
                    yield found
        yield from self._finished(block=False)

    def finish_bundle(self) -> Iterator[WindowedValue]:
        """Yield the rest."""
        while self._open:
            for value in self._finished(block=True):
                yield WindowedValue(value, MIN_TIMESTAMP, (GlobalWindow(),))
        self._heartbeat.stop()

    def teardown(self) -> None:
        """End what is open; the children too, unless another step uses them."""
        # Called also after an exception of a later step, which skips finish_bundle.
        self._heartbeat.stop()
        for _, resources in self._open.values():
            resources.close()
        self._open.clear()
        self._pool = None
        self._held.close()

    def _submit(self, begun: Begun, resources: Resources) -> Iterator[Any]:
        pool = self._open_pool()
        while pool.capacity == 0:
            yield from self._finished(block=True)
        self._open[begun.job.job_id] = (begun.state, resources.pop_all())
        pool.submit(begun.job)

    def _open_pool(self) -> ChildPool:
        if self._pool is None:
            children = self._held.enter_context(shared_children(self.scratch, self._limits))
            num_children = children_here(self._num_children)
            pool = ChildPool(self.scratch, num_children, children=children)
            self._pool = self._held.enter_context(pool)
        return self._pool

    def _finished(self, *, block: bool) -> Iterator[Any]:
        if self._pool is None:
            return
        for report in self._pool.reports(block=block):
            if isinstance(report, LAST_MESSAGES):
                state, resources = self._open.pop(report.job_id)
                resources.close()
            else:
                state, _ = self._open[report.job_id]
            yield from self.end(state, report)
