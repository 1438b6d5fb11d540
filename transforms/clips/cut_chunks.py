"""Cut the clips of each run in children, several runs at once, and look at every clip."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import apache_beam as beam

from transforms.child_jobs import Begun, ChildJobs, Resources
from transforms.clips.cut_settings import CutSettings
from transforms.clips.local_index import local_index
from transforms.clips.plan import Plan, read_plan
from transforms.clips.run_work import RunWork, find_work, without_changed_source
from transforms.clips.source_copies import local_source, sources_folder
from transforms.media.child_messages import ClipReport, CutJob, JobClip, JobDone, PoolReport
from transforms.progress import count
from transforms.records import Clip, CutRun, Window
from transforms.run_context import RunContext
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


@dataclass(frozen=True, slots=True)
class _OpenRun:
    """A run that a child works on."""

    plan: Plan
    source_uri: str
    waiting: dict[str, Clip]
    """The clips that have not been reported, by id."""
    windows: Mapping[str, tuple[Window, ...]]
    """As ``RunWork.windows``."""


class _CutRuns(ChildJobs):
    """One job per run with unfinished chunks."""

    def __init__(self, settings: CutSettings, context: RunContext) -> None:
        super().__init__(settings.num_children, settings.limits, context)
        self._settings = settings

    def begin(self, element: CutRun, resources: Resources) -> Iterator[Clip | Begun]:
        plan = read_plan(element.plan_uri)
        work = find_work(element, plan, self.context)
        work = without_changed_source(work, plan, element.source_uri)
        yield from work.ready
        if work.pending:
            job = self._job(element, work, plan, resources)
            waiting = {clip.clip_id: clip for clip in work.pending}
            yield Begun(job, _OpenRun(plan, element.source_uri, waiting, work.windows))

    def end(self, state: _OpenRun, report: PoolReport) -> Iterator[Clip]:
        if isinstance(report, JobDone):
            if state.waiting:
                raise RuntimeError(f"a child left out clips: {sorted(state.waiting)}")
            count(self.context.progress_folder, **_timings(report))
            return
        assert isinstance(report, ClipReport)
        waiting = state.waiting.pop(report.clip_id)
        clip = _reported(waiting, report, state.source_uri, self.scratch)
        if clip.file is not None and clip.clip_id in state.windows:
            windows = state.windows[clip.clip_id]
            clip = clip.updated(file=dataclasses.replace(clip.file, windows=windows))
        span = state.plan.spans[clip.clip_index]
        count(
            self.context.progress_folder,
            clips_cut=1,
            seconds_cut=span.end_seconds - span.start_seconds,
        )
        yield clip

    def _job(self, run: CutRun, work: RunWork, plan: Plan, resources: Resources) -> CutJob:
        source = run.source_uri
        if any(clip.action == "cut" for clip in work.job_clips):
            # A look reads finished clips alone; their source, only named then, may be gone.
            copy = local_source(run.source_uri, sources_folder(self.context))
            source = str(resources.enter_context(copy).absolute())
        return CutJob(
            job_id=f"{plan.video.video_uuid}-{run.run_index}",
            source=source,
            facts=plan.facts,
            index_path=local_index(self.context, plan.video.video_uuid),
            clips=tuple(self._local(clip, resources) for clip in work.job_clips),
            encode=self._settings.encode,
            look=self._settings.look,
            keep_prefix=self._settings.keep_prefix,
            crop_black_bars=self._settings.crop_black_bars,
            form=self._settings.form,
        )

    def _local(self, clip: JobClip, resources: Resources) -> JobClip:
        """Return the job with a clip that a child can look at: it reads files, not stores."""
        if clip.action != "look" or clip.path is None or not scheme_of(clip.path):
            return clip
        file = storage_for(clip.path).local_file(clip.path, self.scratch)
        return dataclasses.replace(clip, path=str(resources.enter_context(file)))


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
