"""What remains to be done of one run of chunks."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from transforms.clips.clip_state import ClipState, read_clip_state, stored_windows
from transforms.clips.plan import Plan
from transforms.clips.source_identity import source_identity
from transforms.clips.video_state import VideoState, record_state
from transforms.json_files import read_json_if_there
from transforms.layout import chunk_record_uri, clip_uri
from transforms.media.children import JobClip
from transforms.records import Clip, CutRun, Failure, Window
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
    windows: Mapping[str, tuple[Window, ...]] = field(default_factory=dict)
    """Caption windows that committed clips have, by id: they stay, whatever is asked for now."""


def find_work(run: CutRun, plan: Plan, context: RunContext) -> RunWork:
    """Return what remains of the run's chunks that are not finished, from what is stored."""
    states = list(_clip_states(run, plan, context))
    pending = [state for state in states if state.needs_child]
    return RunWork(
        ready=tuple(state.clip for state in states if not state.needs_child),
        pending=tuple(state.clip for state in pending),
        job_clips=tuple(_job_clip(state, plan, context) for state in pending),
        windows={
            state.clip.clip_id: stored_windows(state.look_again)
            for state in pending
            if state.look_again is not None
        },
    )


def _clip_states(run: CutRun, plan: Plan, context: RunContext) -> Iterator[ClipState]:
    first_chunk, end_chunk = plan.runs[run.run_index]
    for chunk_index in range(first_chunk, end_chunk):
        record = read_json_if_there(chunk_record_uri(context.root, run.rel, chunk_index))
        if record is not None and record_state(context, record) is not VideoState.OPEN:
            continue
        first_clip, end_clip = plan.chunks[chunk_index]
        for clip_index in range(first_clip, end_clip):
            clip = Clip(
                clip_id=plan.spans[clip_index].clip_id,
                plan_uri=run.plan_uri,
                rel=run.rel,
                clip_index=clip_index,
                chunk_index=chunk_index,
            )
            yield read_clip_state(clip, context, has_record=record is not None)


def _job_clip(state: ClipState, plan: Plan, context: RunContext) -> JobClip:
    clip, meta = state.clip, state.look_again
    span = plan.spans[clip.clip_index]
    if meta is None:
        return JobClip(clip.clip_id, span.start, span.end)
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


def without_changed_source(work: RunWork, plan: Plan, source_uri: str) -> RunWork:
    """Return the work; clips to be cut fail when the source is not the one that was planned.

    Args:
        work: What remains.
        plan: Tells what the source was.
        source_uri: Where it lies now.
    """
    if all(job_clip.action == "look" for job_clip in work.job_clips):
        return work
    failure = _source_failure(plan, source_uri)
    if failure is None:
        return work
    pairs = list(zip(work.pending, work.job_clips, strict=True))
    cut = tuple(clip.failed(failure) for clip, job_clip in pairs if job_clip.action == "cut")
    rest = [(clip, job_clip) for clip, job_clip in pairs if job_clip.action != "cut"]
    return dataclasses.replace(
        work,
        ready=work.ready + cut,
        pending=tuple(clip for clip, _ in rest),
        job_clips=tuple(job_clip for _, job_clip in rest),
    )


def _source_failure(plan: Plan, uri: str) -> Failure | None:
    ways = "restore it and run again with --retry_failed, or use a new output"
    try:
        if source_identity(uri) == plan.source_identity:
            return None
    except StorageError as error:
        message = f"{error}, and clips must still be cut from it; {ways}"
        return Failure("cut", "unreadable", message)
    message = f"{uri}: changed since it was planned, and clips must still be cut from it; {ways}"
    return Failure("cut", "source_changed", message)
