"""What remains to be done of one run of chunks."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

from transforms.clips.clip_state import needs_look, read_clip_state
from transforms.clips.plan import Plan
from transforms.clips.source_identity import source_identity
from transforms.clips.video_state import VideoState, chunk_state
from transforms.json_files import read_json
from transforms.layout import clip_uri, meta_uri
from transforms.media.children import JobClip
from transforms.records import Clip, CutRun, Failure
from transforms.run_context import RunContext
from transforms.storage.interface import StorageError


@dataclass(frozen=True)
class RunWork:
    """The clips of a run: those that go on as they are, and those a child must work on."""

    ready: tuple[Clip, ...]
    """Committed or failed before, or decided anew from stored scores."""
    pending: tuple[Clip, ...]
    """To be cut or looked at, in the order of the plan."""
    job_clips: tuple[JobClip, ...]
    """One for each of ``pending``."""


def planned_clips(run: CutRun, plan: Plan, context: RunContext) -> Iterator[Clip]:
    """Yield the planned clips of the run's chunks that are not finished."""
    first_chunk, end_chunk = plan.runs[run.run_index]
    for chunk_index in range(first_chunk, end_chunk):
        if chunk_state(context, run.rel, chunk_index) is not VideoState.OPEN:
            continue
        first_clip, end_clip = plan.chunks[chunk_index]
        for clip_index in range(first_clip, end_clip):
            yield Clip(
                clip_id=plan.spans[clip_index].clip_id,
                plan_uri=run.plan_uri,
                rel=run.rel,
                clip_index=clip_index,
                chunk_index=chunk_index,
            )


def find_work(run: CutRun, plan: Plan, context: RunContext) -> RunWork:
    """Return what remains of the run, from commits and failure files."""
    clips = [read_clip_state(clip, context) for clip in planned_clips(run, plan, context)]
    looked = {clip.clip_id for clip in clips if clip.redone and needs_look(clip, context)}
    pending = [
        clip
        for clip in clips
        if clip.outcome == "pending" and (not clip.redone or clip.clip_id in looked)
    ]
    waiting = {clip.clip_id for clip in pending}
    ready = tuple(clip for clip in clips if clip.clip_id not in waiting)
    return RunWork(ready, tuple(pending), tuple(_job_clip(clip, plan, context) for clip in pending))


def _job_clip(clip: Clip, plan: Plan, context: RunContext) -> JobClip:
    span = plan.spans[clip.clip_index]
    if not clip.redone:
        return JobClip(clip.clip_id, span.start, span.end)
    meta = read_json(meta_uri(context.root, clip.clip_id))
    first_pts, end_pts = meta["source_span_pts"]
    return JobClip(
        clip.clip_id,
        span.start,
        span.end,
        action="look",
        path=clip_uri(context.root, clip.clip_id, rejected="rejection" in meta),
        source_span_pts=(first_pts, end_pts),
        made_by=meta["made_by"],
    )


def without_changed_source(work: RunWork, plan: Plan) -> RunWork:
    """Return the work; clips to be cut fail when the source is not the one that was planned."""
    if all(job_clip.action == "look" for job_clip in work.job_clips):
        return work
    uri = plan.video.uri
    try:
        unchanged = source_identity(uri, plan.video.num_bytes) == plan.source_identity
        message = f"{uri}: changed since it was planned; restore it, or use a new output"
    except StorageError as error:
        unchanged, message = False, str(error)
    if unchanged:
        return work
    failure = Failure("cut", "source_changed", message)
    pairs = list(zip(work.pending, work.job_clips, strict=True))
    cut = tuple(clip.failed(failure) for clip, job_clip in pairs if job_clip.action == "cut")
    rest = [(clip, job_clip) for clip, job_clip in pairs if job_clip.action != "cut"]
    return dataclasses.replace(
        work,
        ready=work.ready + cut,
        pending=tuple(clip for clip, _ in rest),
        job_clips=tuple(job_clip for _, job_clip in rest),
    )
