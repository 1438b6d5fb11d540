"""Probing in a child: a file that makes FFmpeg crash, hang or use up memory costs only itself."""

from __future__ import annotations

import contextlib
import queue
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from transforms.errors import MediaError
from transforms.media.child_lane import Lane, LiveChildren
from transforms.media.child_limits import ChildLimits
from transforms.media.child_messages import ProbeJob, ProbeReport, StretchJob
from transforms.media.child_process import ChildEndedError
from transforms.media.job_attempts import answer
from transforms.records import Video, VideoFacts
from transforms.storage.interface import StorageError
from transforms.storage.open_storage import storage_for
from transforms.storage.uris import scheme_of


class Prober:
    """Probes videos in children, each started when a video needs it and kept for the next ones.

    As many threads as there are children may use it at once; further ones wait. The children end
    with this process, however it ends.
    """

    def __init__(
        self,
        scratch: Path,
        limits: ChildLimits,
        *,
        num_children: int = 1,
        children: LiveChildren | None = None,
    ) -> None:
        """Make the prober; no child is started yet.

        Args:
            scratch: Local folder for the children's standard error, made if absent.
            limits: What each child may use and how long it may be silent.
            num_children: Most children at a time, at least 1.
            children: Those of ``scratch`` that others use as well, who end them and say what they
                may use. None: the prober has its own, which end with it.
        """
        self._owns_children = children is None
        self._children = LiveChildren(scratch, limits) if children is None else children
        self._lanes = [Lane(self._children) for _ in range(num_children)]
        self.seconds = 0.0
        """Processor time of all probes so far."""
        self._free: queue.SimpleQueue[Lane] = queue.SimpleQueue()
        for lane in self._lanes:
            self._free.put(lane)

    @property
    def child_pids(self) -> tuple[int, ...]:
        """Process ids of the children there are now."""
        return self._children.pids()

    def probe(self, video: Video) -> VideoFacts:
        """Return what the video's container says about it.

        Raises:
            MediaError: As ``media.probe.probe``; ``unreadable`` when the file cannot be opened;
                ``crash``, ``hang`` or ``memory`` when two children ended over it.
            CurateError: No child can work here.
        """
        if not scheme_of(video.uri):
            _raise_if_unopenable(video.uri)
        return self._ask(ProbeJob(video.video_uuid, video.uri, video.num_bytes))

    def copy_stretch(self, video: Video, facts: VideoFacts, path: Path) -> VideoFacts:
        """Copy about two and a half seconds of the video and return what a probe says of them.

        Args:
            video: The source.
            facts: What ``probe`` found in it.
            path: The local matroska file to write; absolute.

        Raises:
            MediaError: As ``probe``; ``unreadable`` when no part of it can be copied.
            CurateError: No child can work here.
        """
        # The job is another than probing the video, also for faults that tests order.
        job_id = f"stretch-{video.video_uuid}"
        return self._ask(StretchJob(job_id, video.uri, facts, str(path)))

    def end_children(self) -> None:
        """End the idle children, which take memory; who needs one gets a new one."""
        self._children.end_idle()

    def close(self) -> None:
        """End every child that probes, and what is the prober's own; nothing is probed any more."""
        for lane in self._lanes:
            lane.close()
        if self._owns_children:
            self._children.close()

    def __enter__(self) -> Prober:
        """Return the prober itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the children."""
        self.close()

    def _ask(self, job: ProbeJob | StretchJob) -> VideoFacts:
        with self._lane() as lane:
            report = _report(job, lane)
            self.seconds += report.seconds
        if report.failure is not None:
            raise MediaError(report.failure.reason, report.failure.message)
        if report.facts is None:
            raise RuntimeError(f"a child's report on {job.uri} is empty")
        return report.facts

    @contextlib.contextmanager
    def _lane(self) -> Iterator[Lane]:
        lane = self._free.get()
        try:
            yield lane
        finally:
            self._free.put(lane)


def _raise_if_unopenable(path: str) -> None:
    """Raise ``unreadable`` for a local file that needs no child to be found so.

    In a store each opening costs a request; there the child finds out.
    """
    try:
        storage_for(path).open_seekable(path).close()
    except StorageError as error:
        way_on = "restore it and run again with --retry_failed"
        raise MediaError("unreadable", f"{error}; {way_on}") from error


def _report(job: ProbeJob | StretchJob, lane: Lane) -> ProbeReport:
    """Return the child's report; a child that ends over the job is replaced, once.

    Raises:
        MediaError: The second one ended as well.
        CurateError: No child can work here.
    """
    try:
        report = answer(job, lane.attempt)
    except ChildEndedError as error:
        message = f"{job.uri} could not be probed, twice: {error}"
        raise MediaError(error.reason, message) from error
    assert isinstance(report, ProbeReport)
    return report
