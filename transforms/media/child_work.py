"""What a child does with its jobs, one after the other, of any kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from transforms import faults
from transforms.media.child_cut import answer_cut
from transforms.media.child_frames import answer_frames, answer_index
from transforms.media.child_look import FinishedClip, answer_look
from transforms.media.child_messages import (
    ClipReport,
    CutJob,
    FramesJob,
    FramesReport,
    IndexJob,
    IndexReport,
    Job,
    JobDone,
    LookJob,
    Message,
    ProbeJob,
    StretchJob,
    Tick,
)
from transforms.media.child_probe import answer_probe
from transforms.media.child_progress import TICK_SECONDS, JobProgress
from transforms.media.slots import slot

__all__ = ["TICK_SECONDS", "Worker"]


class Worker:
    """Does one job after the other and emits what became of each clip as soon as it is known."""

    def __init__(self, scratch: Path, emit: Callable[[Message], None]) -> None:
        self._scratch = scratch
        self._emit = emit
        self._progress = JobProgress(emit)

    def run(self, job: Job) -> None:
        """Do the job.

        Cutting and looking emit a ``ClipReport`` for every clip but the skipped ones, then
        ``JobDone``; every other job emits its one report.

        Raises:
            MemoryError: There is too little memory; the job was not ended.
        """
        progress = self._progress
        progress.start_job()
        if isinstance(job, ProbeJob | StretchJob):
            # Without a slot: it is short, and who waits for it may hold back all cutting.
            progress.begin("probe")
            faults.strike(job.job_id)
            last: Message = answer_probe(job)
        else:
            progress.begin("wait")
            with slot(while_waiting=progress.tell_now_and_then):
                last = self._decoded(job)
        progress.begin("wait")
        self._emit(last)

    def progress(self) -> Tick:
        """Return what the child is at; any thread may ask."""
        return self._progress.tick()

    def _decoded(
        self, job: CutJob | LookJob | IndexJob | FramesJob
    ) -> JobDone | IndexReport | FramesReport:
        """Do a job that takes a slot; return its last message."""
        progress = self._progress
        if isinstance(job, IndexJob):
            progress.begin("index")
            faults.strike(job.job_id)
            return answer_index(job)
        if isinstance(job, FramesJob):
            progress.begin("frames")
            faults.strike(job.job_id)
            return answer_frames(job, progress.counters)
        for report in self._clips(job):
            self._emit(report)
        # The time of the part that ends here belongs to the job.
        progress.begin("wait")
        progress.details["cut_decode"] = progress.counters.seconds
        num_decoded = progress.counters.num_decoded
        return JobDone(job.job_id, num_decoded, progress.seconds, progress.details)

    def _clips(self, job: CutJob | LookJob) -> Iterator[ClipReport]:
        for clip in job.clips:
            if clip.action == "look" and clip.path:
                self._progress.begin("look", clip.clip_id)
                faults.strike(clip.clip_id)
                path = Path(clip.path)
                finished = FinishedClip(clip.clip_id, path, clip.source_span_pts, clip.made_by)
                yield answer_look(job, finished, scratch=self._scratch, progress=self._progress)
        if isinstance(job, CutJob):
            yield from answer_cut(job, scratch=self._scratch, progress=self._progress)
