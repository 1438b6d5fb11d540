"""Cut the clips of each run in children, several runs at once, and look at every clip."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import apache_beam as beam
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.timestamp import MIN_TIMESTAMP
from apache_beam.utils.windowed_value import WindowedValue

from transforms.clips.cut_settings import CutSettings
from transforms.clips.local_index import local_index
from transforms.clips.plan import Plan, read_plan
from transforms.clips.run_work import RunWork, find_work, without_changed_source
from transforms.clips.source_copies import local_source, sources_folder
from transforms.layout import lease_uri
from transforms.lease import Heartbeat
from transforms.media.children import ChildPool, ClipReport, CutJob, JobClip, JobDone
from transforms.media.slots import children_here
from transforms.progress import count
from transforms.records import Clip, CutRun
from transforms.run_context import RunContext
from transforms.scratch import scratch_here
from transforms.storage.open_storage import storage_for
from transforms.storage.uris import scheme_of


@dataclass
class CutChunks(beam.PTransform):
    """Cut runs into clips and look at each finished clip once.

    Input: runs, in any order. Output: every planned clip of their unfinished chunks, exactly once:
    cut (pending), committed before, failed, or without frames. Clips come as they finish; their
    files lie in the worker's scratch folder until WriteClips takes them.
    """

    settings: CutSettings
    context: RunContext

    def expand(self, runs: beam.PCollection[CutRun]) -> beam.PCollection[Clip]:
        """Attach the cut."""
        return runs | beam.ParDo(_CutRuns(self.settings, self.context)).with_output_types(Clip)


class _OpenJob:
    """A run that a child works on."""

    def __init__(
        self, work: RunWork, plan: Plan, source_uri: str, resources: contextlib.ExitStack
    ) -> None:
        self.waiting = {clip.clip_id: clip for clip in work.pending}
        self.plan = plan
        self.source_uri = source_uri
        self.resources = resources


class _CutRuns(beam.DoFn):
    """Keeps one run per child going and one queued; open runs belong to this instance."""

    def __init__(self, settings: CutSettings, context: RunContext) -> None:
        self._settings = settings
        self._context = context
        self._pool: ChildPool | None = None
        self._jobs: dict[str, _OpenJob] = {}
        self._heartbeat = Heartbeat(lease_uri(context.root), context.run_id)

    def start_bundle(self) -> None:
        # Outputs of a run belong to the bundle that brought it; this one ended in an error.
        if self._jobs:
            self.teardown()
        self._heartbeat.start()

    def process(self, run: CutRun) -> Iterator[Clip]:
        plan = read_plan(run.plan_uri)
        work = without_changed_source(find_work(run, plan, self._context), plan, run.source_uri)
        yield from work.ready
        if not work.pending:
            return
        pool = self._open_pool()
        while pool.capacity == 0:
            yield from self._finished(block=True)
        self._submit(run, work, plan)
        yield from self._finished(block=False)

    def finish_bundle(self) -> Iterator[WindowedValue]:
        while self._jobs:
            for clip in self._finished(block=True):
                yield WindowedValue(clip, MIN_TIMESTAMP, (GlobalWindow(),))
        self._heartbeat.stop()

    def teardown(self) -> None:
        # Called also after an exception of a later step, which skips finish_bundle.
        self._heartbeat.stop()
        for job in self._jobs.values():
            job.resources.close()
        self._jobs.clear()
        if self._pool is not None:
            self._pool.close()
            self._pool = None

    @property
    def _scratch(self) -> Path:
        # A pool's scratch folder is its own; two workers on one machine have two.
        return scratch_here(self._context.scratch) / f"worker-{os.getpid()}"

    def _open_pool(self) -> ChildPool:
        if self._pool is None:
            settings = self._settings
            num_children = children_here(settings.num_children)
            self._pool = ChildPool(self._scratch, num_children, limits=settings.limits)
        return self._pool

    def _submit(self, run: CutRun, work: RunWork, plan: Plan) -> None:
        pool = self._open_pool()
        resources = contextlib.ExitStack()
        source = run.source_uri
        if any(clip.action == "cut" for clip in work.job_clips):
            # A look reads finished clips alone; their source, only named then, may be gone.
            copy = local_source(run.source_uri, sources_folder(self._context))
            source = str(resources.enter_context(copy).absolute())
        clips = tuple(self._local(clip, resources) for clip in work.job_clips)
        job_id = f"{plan.video.video_uuid}-{run.run_index}"
        self._jobs[job_id] = _OpenJob(work, plan, run.source_uri, resources)
        pool.submit(
            CutJob(
                job_id=job_id,
                source=source,
                facts=plan.facts,
                index_path=local_index(self._context, plan.video.video_uuid),
                clips=clips,
                encode=self._settings.encode,
                look=self._settings.look,
                keep_prefix=self._settings.keep_prefix,
                crop_black_bars=self._settings.crop_black_bars,
                form=self._settings.form,
            )
        )

    def _local(self, clip: JobClip, resources: contextlib.ExitStack) -> JobClip:
        """Return the job with a clip that a child can look at: it reads files, not stores."""
        if clip.action != "look" or clip.path is None or not scheme_of(clip.path):
            return clip
        file = storage_for(clip.path).local_file(clip.path, self._scratch)
        return dataclasses.replace(clip, path=str(resources.enter_context(file)))

    def _finished(self, *, block: bool) -> Iterator[Clip]:
        for report in self._open_pool().reports(block=block):
            if isinstance(report, JobDone):
                job = self._jobs.pop(report.job_id)
                job.resources.close()
                if job.waiting:
                    raise RuntimeError(f"a child left out clips: {sorted(job.waiting)}")
                count(self._context.progress_folder, **_timings(report))
                continue
            assert isinstance(report, ClipReport)
            job = self._jobs[report.job_id]
            waiting = job.waiting.pop(report.clip_id)
            clip = _reported(waiting, report, job.source_uri, self._scratch)
            span = job.plan.spans[clip.clip_index]
            count(
                self._context.progress_folder,
                clips_cut=1,
                seconds_cut=span.end_seconds - span.start_seconds,
            )
            yield clip


def _timings(done: JobDone) -> dict[str, float]:
    parts = {**done.seconds, **done.details}
    timings = {f"seconds_of_{part}": seconds for part, seconds in parts.items()}
    return {"frames_decoded": done.num_decoded, **timings}


def _reported(clip: Clip, report: ClipReport, source: str, scratch: Path) -> Clip:
    """Return the clip with what the child found; every failure names the source video."""
    if report.failure is not None:
        message = report.failure.message
        if source not in message:
            message = f"{source}: {message}"
        return clip.failed(dataclasses.replace(report.failure, message=message))
    if report.file is None:
        return clip.updated(outcome="no_frames", notes=tuple(sorted(report.notes.items())))
    return clip.updated(
        file=report.file,
        scores=tuple(sorted({**dict(clip.scores), **dict(report.scores)}.items())),
        notes=tuple(sorted(dict(report.notes).items())),
        preview_names=report.preview_files,
        scratch=str(scratch),
    )
