"""What a child does with a job: packet index, one decode pass that cuts, a look at each clip."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from transforms import faults
from transforms.errors import MediaError
from transforms.media.child_frames import answer_frames, answer_index
from transforms.media.child_messages import (
    ClipReport,
    CutJob,
    FramesJob,
    IndexJob,
    Job,
    JobClip,
    JobDone,
    LookJob,
    Message,
    Part,
    Tick,
)
from transforms.media.child_probe import answer_probe
from transforms.media.clip_files import clip_path, cutting_folder, frames_folder, preview_folder
from transforms.media.crop_box import upright_box
from transforms.media.crop_probe import decided_crop
from transforms.media.cut import CutResult, CutSpan, cut_run
from transforms.media.decode import DecodeCounters
from transforms.media.look import look
from transforms.media.observers.picture_box import Box
from transforms.media.out_of_memory import raise_if_out_of_memory
from transforms.media.packet_index import PacketIndex, build_packet_index, refuse_truncated
from transforms.media.slots import slot
from transforms.records import ClipFile, Failure, MadeBy

TICK_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class FinishedClip:
    """A clip's file, ready to be looked at."""

    clip_id: str
    path: Path
    source_span_pts: tuple[int, int]
    made_by: MadeBy
    num_frames: int | None = None
    """Frames that must come out of it; None: whatever it holds."""
    notes: dict[str, str] = field(default_factory=dict)
    """What the cut has to say of it."""
    crop_box: Box | None = None
    """As ``ClipFile.crop_box``."""
    repeated_dropped: tuple[int, int] | None = None
    """As ``ClipFile.repeated_dropped``."""


@dataclass(frozen=True, slots=True)
class _Cut:
    """What is cut of a job."""

    job: CutJob
    clips: list[JobClip]
    index: PacketIndex
    crop: Box | None
    """What is kept of the frames, in stored pixels; None: everything."""


class Worker:
    """Does one job after the other and emits what became of each clip as soon as it is known."""

    def __init__(self, scratch: Path, emit: Callable[[Message], None]) -> None:
        self._scratch = scratch
        self._emit = emit
        self._part: Part = "wait"
        self._clip_id: str | None = None
        self._counters = DecodeCounters()
        self._seconds: dict[str, float] = {}
        self._details: dict[str, float] = {}
        self._since = self._last_tick = 0.0

    def run(self, job: Job) -> None:
        """Do the job.

        Cutting and looking emit a ``ClipReport`` for every clip but the skipped ones, then
        ``JobDone``; every other job emits its one report.

        Raises:
            MemoryError: There is too little memory; the job was not ended.
        """
        if isinstance(job, CutJob | LookJob):
            self._run_cut(job)
            return
        if isinstance(job, IndexJob | FramesJob):
            self._run_detection(job)
            return
        # Without a slot: it is short, and who waits for it may hold back all cutting.
        self._begin("probe")
        faults.strike(job.job_id)
        report = answer_probe(job)
        self._begin("wait")
        self._emit(report)

    def _run_cut(self, job: CutJob | LookJob) -> None:
        self._counters = DecodeCounters()
        self._seconds, self._details = {}, {}
        self._begin("wait")
        with slot(while_waiting=self._tick_now_and_then):
            self._look_at_finished(job)
            if isinstance(job, CutJob):
                self._cut(job)
        self._begin("wait")
        self._details["cut_decode"] = self._counters.seconds
        done = JobDone(job.job_id, self._counters.num_decoded, self._seconds, self._details)
        self._emit(done)

    def _run_detection(self, job: IndexJob | FramesJob) -> None:
        self._counters = DecodeCounters()
        with slot(while_waiting=self._tick_now_and_then):
            self._begin("index" if isinstance(job, IndexJob) else "frames")
            faults.strike(job.job_id)
            if isinstance(job, IndexJob):
                report: Message = answer_index(job)
            else:
                report = answer_frames(job, self._counters)
        self._begin("wait")
        self._emit(report)

    def progress(self) -> Tick:
        """Return what the child is at; any thread may ask."""
        return Tick(self._part, self._clip_id, self._counters.num_decoded)

    def _begin(self, part: Part, clip_id: str | None = None) -> None:
        now = time.process_time()
        if self._part != "wait":
            self._seconds[self._part] = self._seconds.get(self._part, 0.0) + now - self._since
        self._part, self._clip_id, self._since = part, clip_id, now
        self._emit(self.progress())

    def _tick_now_and_then(self) -> None:
        now = time.monotonic()
        if now - self._last_tick >= TICK_SECONDS:
            self._last_tick = now
            self._emit(self.progress())

    def _look_at_finished(self, job: CutJob | LookJob) -> None:
        for clip in job.clips:
            if clip.action == "look" and clip.path:
                self._begin("look", clip.clip_id)
                faults.strike(clip.clip_id)
                span = clip.source_span_pts
                self._look(job, FinishedClip(clip.clip_id, Path(clip.path), span, clip.made_by))

    def _cut(self, job: CutJob) -> None:
        clips = [clip for clip in job.clips if clip.action == "cut"]
        if not clips:
            return
        try:
            index = self._index(job)
            crop = self._crop(job, index)
        except MediaError as error:
            for clip in clips:
                self._report_failure(job, clip.clip_id, "cut", error)
            return
        with self._folder(job) as folder:
            self._cut_clips(_Cut(job, clips, index, crop), folder)

    def _index(self, job: CutJob) -> PacketIndex:
        self._begin("index")
        path = Path(job.index_path)
        keep_prefix = job.keep_prefix is not None
        if path.exists():
            index = PacketIndex.load(path)
            if not keep_prefix:
                refuse_truncated(index, job.source)
            return index
        index = build_packet_index(job.source, job.facts, keep_prefix=keep_prefix)
        path.parent.mkdir(parents=True, exist_ok=True)
        index.save(path)
        return index

    @contextlib.contextmanager
    def _folder(self, job: CutJob) -> Iterator[Path]:
        folder = cutting_folder(self._scratch, job.job_id)
        folder.mkdir(parents=True, exist_ok=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder)

    def _crop(self, job: CutJob, index: PacketIndex) -> Box | None:
        if not job.crop_black_bars:
            return None
        path = Path(job.index_path).with_suffix(".crop.npz")
        return decided_crop(job.source, job.facts, index, path=path, counters=self._counters)

    def _cut_clips(self, cut: _Cut, folder: Path) -> None:
        job = cut.job
        results = cut_run(
            Path(job.source),
            job.facts,
            cut.index,
            [CutSpan(clip.clip_id, clip.start, clip.end) for clip in cut.clips],
            settings=job.encode,
            folder=folder,
            windows=(job.look.window_size, job.look.remainder_threshold),
            counters=self._counters,
            keep_prefix=job.keep_prefix,
            crop=cut.crop,
            form=job.form,
        )
        for clip in cut.clips:
            self._begin("cut", clip.clip_id)
            faults.strike(clip.clip_id)
            self._report_cut(job, next(results), cut.crop)

    def _report_cut(self, job: CutJob, result: CutResult, crop: Box | None) -> None:
        notes = {"source_truncated": result.truncated} if result.truncated else {}
        if result.failure is not None:
            self._report_failure(job, result.clip_id, "cut", MediaError(*result.failure))
        elif result.path is None:
            self._emit(ClipReport(job.job_id, result.clip_id, notes=notes))
        else:
            path = clip_path(self._scratch, result.clip_id)
            path.parent.mkdir(parents=True, exist_ok=True)
            result.path.replace(path)
            promised = result.num_frames
            if result.made_by == "passthrough" and job.facts.header_frames:
                promised = job.facts.header_frames
            span = result.source_span_pts
            shown = crop and upright_box(
                crop,
                size=(job.facts.width, job.facts.height),
                rotation_degrees=job.facts.rotation_degrees,
            )
            finished = FinishedClip(
                result.clip_id,
                path,
                span,
                result.made_by,
                promised,
                notes,
                shown,
                result.repeated_dropped,
            )
            self._look(job, finished)

    def _look(self, job: CutJob | LookJob, finished: FinishedClip) -> None:
        self._begin("look", finished.clip_id)
        previews = preview_folder(self._scratch, finished.clip_id)
        try:
            seen = look(
                finished.path,
                job.look,
                preview_folder=previews,
                frames_folder=frames_folder(self._scratch, finished.clip_id),
            )
            _check_count(seen.num_frames, finished)
        except MediaError as error:
            self._report_failure(job, finished.clip_id, "look", error)
            return
        for part, seconds in seen.seconds.items():
            name = f"look_{part}"
            self._details[name] = self._details.get(name, 0.0) + seconds
        file = ClipFile(
            num_bytes=seen.num_bytes,
            sha256=seen.sha256,
            width=seen.width,
            height=seen.height,
            framerate=seen.framerate,
            num_frames=seen.num_frames,
            video_codec=seen.video_codec,
            source_span_pts=finished.source_span_pts,
            made_by=finished.made_by,
            windows=seen.windows,
            crop_box=finished.crop_box,
            repeated_dropped=finished.repeated_dropped,
        )
        self._emit(
            ClipReport(
                job_id=job.job_id,
                clip_id=finished.clip_id,
                file=file,
                scores=seen.scores,
                notes={**seen.notes, **finished.notes},
                preview_files=seen.preview_files,
            )
        )

    def _report_failure(
        self,
        job: CutJob | LookJob,
        clip_id: str,
        stage: Literal["cut", "look"],
        error: MediaError,
    ) -> None:
        raise_if_out_of_memory(error)
        failure = Failure(stage, error.reason, error.message)
        self._emit(ClipReport(job.job_id, clip_id, failure=failure))


def _check_count(num_frames: int, finished: FinishedClip) -> None:
    if finished.num_frames is not None and num_frames != finished.num_frames:
        raise MediaError(
            "clip_does_not_decode",
            f"clip {finished.clip_id}: {finished.num_frames} frames were put in, "
            f"but {num_frames} could be decoded",
        )
