"""A video's plan: every clip, chunk and run that the video will be cut into."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from transforms.json_files import BadJsonError, read_json
from transforms.json_records import from_plain, to_plain
from transforms.records import Span, SplitVideo, Video, VideoFacts
from transforms.run_context import SCHEMA_VERSION
from transforms.storage.open_storage import storage_for
from transforms.storage.plain_names import is_plain_name

CHUNK_UNIT_SECONDS = 8
"""``clip_re_chunk_size`` counts in these (contract §1.6)."""


@dataclass(frozen=True)
class Plan:
    """What ``.work/plans/{video_uuid}.json`` holds."""

    video: Video
    facts: VideoFacts
    source_identity: str
    spans: tuple[Span, ...]
    chunks: tuple[tuple[int, int], ...]
    """Half-open ranges of clip indices."""
    runs: tuple[tuple[int, int], ...]
    """Half-open ranges of chunk indices that share an entry keyframe."""
    uncovered: tuple[tuple[float, float, str], ...]
    spans_fingerprint: str
    transitions: tuple[tuple[int, int], ...] = ()
    """Gradual transitions between shots, in frames, half-open; left out of the file if empty."""

    def chunk_spans(self, chunk_index: int) -> tuple[Span, ...]:
        """Return the planned clips of a chunk."""
        first, end = self.chunks[chunk_index]
        return self.spans[first:end]


def chunk_ranges(
    durations_seconds: Sequence[float], clip_re_chunk_size: int
) -> list[tuple[int, int]]:
    """Return half-open ranges of clips: a chunk closes when its whole seconds reach the limit.

    Example:
        >>> chunk_ranges([10.0] * 60, 32)
        [(0, 26), (26, 52), (52, 60)]
    """
    ranges: list[tuple[int, int]] = []
    first, seconds = 0, 0
    for index, duration in enumerate(durations_seconds):
        seconds += int(duration)
        if seconds >= clip_re_chunk_size * CHUNK_UNIT_SECONDS:
            ranges.append((first, index + 1))
            first, seconds = index + 1, 0
    if first < len(durations_seconds):
        ranges.append((first, len(durations_seconds)))
    return ranges


def run_ranges(entry_keyframes: Sequence[int]) -> list[tuple[int, int]]:
    """Return half-open ranges of consecutive chunks with the same entry keyframe.

    Args:
        entry_keyframes: For each chunk the number of the keyframe its decoding starts from.

    Example:
        >>> run_ranges([0, 0, 3, 5])
        [(0, 2), (2, 3), (3, 4)]
    """
    ranges: list[tuple[int, int]] = []
    for index, keyframe in enumerate(entry_keyframes):
        if ranges and entry_keyframes[index - 1] == keyframe:
            ranges[-1] = (ranges[-1][0], index + 1)
        else:
            ranges.append((index, index + 1))
    return ranges


def plan_to_json(plan: Plan) -> dict[str, Any]:
    """Return a plan as JSON values."""
    plain = to_plain(plan)
    if not plan.transitions:
        del plain["transitions"]
    return {"schema_version": SCHEMA_VERSION, **plain}


def plan_from_json(content: Any) -> Plan:
    """Return the plan that ``plan_to_json`` wrote; transitions that are left out are none.

    Raises:
        TypeError, KeyError, ValueError: As ``from_plain``.
    """
    if isinstance(content, dict):
        content = {"transitions": [], **content}
    return from_plain(Plan, content)


def read_plan(uri: str) -> Plan:
    """Return the plan at ``uri``; a process keeps the few it read last.

    Raises:
        BadJsonError: It is no plan, or names what cannot be a file below the output.
    """
    return _read_version(uri, storage_for(uri).stat(uri).version)


@functools.lru_cache(maxsize=8)
def _read_version(uri: str, _version: str) -> Plan:
    content = read_json(uri)
    try:
        plan = plan_from_json(content)
        _check(plan)
    except (KeyError, TypeError, ValueError) as error:
        raise BadJsonError(
            f"{uri}: is not a plan of this program ({error}); give verify --repair on this output"
        ) from error
    return plan


def _check(plan: Plan) -> None:
    """Raise ``ValueError`` unless ids can be names of files and ranges lie in what they count."""
    ids = {span.clip_id for span in plan.spans}
    if len(ids) < len(plan.spans) or not all(is_plain_name(clip_id) for clip_id in ids):
        raise ValueError("ids of clips are no names, or not unique")
    for ranges, end in ((plan.chunks, len(plan.spans)), (plan.runs, len(plan.chunks))):
        if not all(0 <= first < behind <= end for first, behind in ranges):
            raise ValueError("ranges of clips or chunks that there are not")
    if ".." in plan.video.rel.split("/") or plan.video.rel.startswith("/"):
        raise ValueError(f"{plan.video.rel!r} lies outside the input")


def make_plan(
    split: SplitVideo,
    *,
    source_identity: str,
    chunks: Sequence[tuple[int, int]],
    runs: Sequence[tuple[int, int]],
    spans_fingerprint: str,
) -> Plan:
    """Return the plan of a split video."""
    return Plan(
        video=split.video,
        facts=split.facts,
        source_identity=source_identity,
        spans=split.spans,
        chunks=tuple(chunks),
        runs=tuple(runs),
        uncovered=split.uncovered,
        spans_fingerprint=spans_fingerprint,
        transitions=split.transitions,
    )
