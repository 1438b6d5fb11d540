"""How a job survives the end of the child that works on it."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator

from transforms.media.child_messages import (
    LAST_MESSAGES,
    ClipReport,
    CutJob,
    FramesReport,
    IndexJob,
    IndexReport,
    Job,
    JobClip,
    JobDone,
    LastMessage,
    LookJob,
    Message,
    PoolJob,
    PoolReport,
    Tick,
)
from transforms.media.child_process import ChildEndedError
from transforms.records import Failure

MAX_ENDS = 2
"""A clip fails when it has ended its child this often."""
MAX_LOST_IN_A_ROW = 3
"""Behind so many clips lost one after the other the rest of the job is not tried: each try would
decode up to the same fault."""

Attempt = Callable[[Job], Iterator[Message]]
"""Gives the job to a child; yields what it says, at the latest up to one of ``LAST_MESSAGES``.
Raises ``ChildEndedError``; the next call takes a new child."""


def run_job(job: PoolJob, attempt: Attempt) -> Iterator[PoolReport]:
    """Yield what becomes of the job, one of ``LAST_MESSAGES`` last.

    Raises:
        CurateError: No child can work here.
    """
    if isinstance(job, CutJob | LookJob):
        yield from _run_cut(job, attempt)
        return
    try:
        report = answer(job, attempt)
    except ChildEndedError as error:
        what = f"{job.source}: its frames could not be read for detecting shots, twice: {error}"
        failure = Failure("split", error.reason, what)
        kind = IndexReport if isinstance(job, IndexJob) else FramesReport
        yield kind(job.job_id, failure=failure)
        return
    assert isinstance(report, IndexReport | FramesReport)
    yield report


def answer(job: Job, attempt: Attempt) -> LastMessage:
    """Return the answer to a job that is done as a whole; a child that ends is replaced, once.

    Raises:
        ChildEndedError: The second one ended as well.
        CurateError: No child can work here.
    """
    num_ends = 0
    while True:
        try:
            (report,) = (told for told in attempt(job) if isinstance(told, LAST_MESSAGES))
            return report
        except ChildEndedError:
            num_ends += 1
            if num_ends == MAX_ENDS:
                raise


def _run_cut(job: CutJob | LookJob, attempt: Attempt) -> Iterator[ClipReport | JobDone]:
    """Yield a report for every clip of the job but the skipped ones, then ``JobDone``.

    When the child ends, the job goes on in a new one behind the last clip reported. The clip that
    was being worked on is tried once more; a clip that ends its child twice is reported as failed
    (stage ``cut``, or ``look`` in a job that only looks; reason ``crash``, ``hang`` or ``memory``)
    and left out. So is every clip left when the child ends twice before it has come to one.

    Raises:
        CurateError: No child can work here.
    """
    left = {clip.clip_id: clip for clip in job.clips if clip.action != "skip"}
    num_ends: Counter[str | None] = Counter()
    num_lost = num_decoded = 0
    while left:
        tick = Tick("start", None, 0)
        try:
            for message in attempt(dataclasses.replace(job, clips=tuple(left.values()))):
                if isinstance(message, Tick):
                    tick = message
                elif isinstance(message, ClipReport):
                    del left[message.clip_id]
                    num_lost = 0
                    yield message
                elif isinstance(message, JobDone):
                    total = num_decoded + message.num_decoded
                    yield dataclasses.replace(message, num_decoded=total)
                    return
        except ChildEndedError as error:
            num_decoded += tick.num_decoded
            suspect = tick.clip_id if tick.clip_id in left else None
            num_ends[suspect] += 1
            if num_ends[suspect] < MAX_ENDS:
                continue
            num_lost += 1
            for clip_id in _given_up(left, suspect, num_lost):
                del left[clip_id]
                yield _failed(job, clip_id, suspect, tick, error)
    yield JobDone(job.job_id, num_decoded, {})


def _given_up(left: dict[str, JobClip], suspect: str | None, num_lost: int) -> list[str]:
    if suspect is None or num_lost >= MAX_LOST_IN_A_ROW:
        return list(left)
    return [suspect]


def _failed(
    job: CutJob | LookJob, clip_id: str, suspect: str | None, tick: Tick, error: ChildEndedError
) -> ClipReport:
    if isinstance(job, LookJob):
        what = f"clip {clip_id} could not be looked at, twice (part: {tick.part})"
        return ClipReport(
            job.job_id, clip_id, failure=Failure("look", error.reason, f"{what}: {error}")
        )
    if suspect is None:
        what = f"{job.source} could not be cut, twice (part: {tick.part})"
    elif clip_id == suspect:
        what = f"clip {clip_id} of {job.source} could not be made, twice (part: {tick.part})"
    else:
        what = (
            f"clip {clip_id} of {job.source} was not tried again, because {MAX_LOST_IN_A_ROW} "
            f"clips before it could not be made, the last one {suspect}"
        )
    return ClipReport(job.job_id, clip_id, failure=Failure("cut", error.reason, f"{what}: {error}"))
