"""Check the plan of a video: it is whole, and its ids and ranges follow from what it says."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from transforms.checked_files import BadFileError, read_checked
from transforms.clips.plan import Plan, plan_from_json
from transforms.clips.selections import Selected
from transforms.finding import Watch
from transforms.formats.plan import VideoPlan
from transforms.layout import plan_uri
from transforms.records import Video
from transforms.shots.spans import clip_uuid


def read_checked_plan(root: str, video: Selected, watch: Watch) -> Plan:
    """Return the plan of a selected video.

    Raises:
        NotFoundError: There is none.
        BadFileError: It is not a plan, or not the plan of this video.
    """
    content = read_checked(plan_uri(root, video.video_uuid), VideoPlan, watch)
    try:
        plan = plan_from_json(content)
    except (TypeError, KeyError, ValueError) as error:
        raise BadFileError(f"is no plan: {error}") from error
    if problem := _problem(plan, content, video):
        raise BadFileError(problem)
    return plan


def selected(video: Video) -> Selected:
    """Return a planned video as a run's record would list it."""
    return Selected(video.rel, video.source_id, video.uri)


def _problem(plan: Plan, content: dict[str, Any], video: Selected) -> str | None:
    if (plan.video.rel, plan.video.source_id) != (video.rel, video.source_id):
        return f"is the plan of {plan.video.rel} ({plan.video.source_id})"
    for span in content["spans"]:
        if span["clip_id"] not in _possible_ids(video, span, float(plan.facts.average_rate)):
            return f"clip {span['clip_id']}: the id does not follow from its video and span"
    if len({span.clip_id for span in plan.spans}) != len(plan.spans):
        return "two clips have the same id"
    if not _lie_end_to_end(plan.chunks, len(plan.spans)):
        return "its chunks do not cover its clips"
    if not _lie_end_to_end(plan.runs, len(plan.chunks)):
        return "its runs do not cover its chunks"
    return None


def _possible_ids(video: Selected, span: dict[str, Any], frame_rate: float) -> set[str]:
    """Return the ids that upstream gives this span: from its times, or from frames of shots."""
    # As they stand there: upstream's ids are printed from whole numbers too.
    times = (span["start_seconds"], span["end_seconds"])
    frames = (round(time * frame_rate) for time in times)
    return {clip_uuid(video.source_id, *times), clip_uuid(video.source_id, *frames)}


def _lie_end_to_end(ranges: Sequence[tuple[int, int]], count: int) -> bool:
    """Return whether half-open ranges cover ``[0, count)`` in order, none of them empty."""
    edges = [0, *itertools.chain.from_iterable(ranges), count]
    pairs = [edges[index : index + 2] for index in range(0, len(edges), 2)]
    return all(end == start for end, start in pairs) and all(a < b for a, b in ranges)
