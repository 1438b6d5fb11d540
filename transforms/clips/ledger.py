"""The ledger: what was selected is planned or failed, what was planned is committed or failed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from transforms.clips.clip_state import CLIP_STAGES
from transforms.clips.plan import Plan, read_plan
from transforms.clips.selections import Selected
from transforms.clips.video_state import VIDEO_STAGES
from transforms.json_files import read_json, read_json_if_there
from transforms.layout import (
    FAILURES,
    chunk_record_uri,
    failure_uri,
    meta_uri,
    plan_uri,
    video_record_uri,
)
from transforms.storage.ahead import read_ahead
from transforms.storage.open_storage import storage_for
from transforms.storage.uris import join


@dataclass
class Ledger:
    """What became of the videos of one or all runs, from files alone."""

    num_videos: int = 0
    num_clips_planned: int = 0
    num_clips_kept: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    """Rejected clips by filter."""
    num_clips_failed: int = 0
    num_no_frames: int = 0
    failed_videos: dict[str, str] = field(default_factory=dict)
    """Relative path to reason: failed before the plan, or every clip failed."""
    videos_without_clips: list[str] = field(default_factory=list)
    """Too short for a clip."""
    missing: list[str] = field(default_factory=list)
    """What was lost: ``rel`` of a video without plan or record, ``rel#i`` of a chunk, clip ids."""
    seconds_in: float = 0.0
    seconds_out: float = 0.0
    num_bytes_out: int = 0

    @property
    def failed_share(self) -> float:
        """Share of the videos that failed, 0 when there are none."""
        return len(self.failed_videos) / self.num_videos if self.num_videos else 0.0

    @property
    def num_clips_rejected(self) -> int:
        """Clips rejected by any filter."""
        return sum(self.rejected.values())


SeeChunks = Callable[[str, list[dict[str, Any]]], None]
"""Gets the relative path of a video and its chunk records."""


def read_ledger(
    root: str, videos: Iterable[Selected], see_chunks: SeeChunks | None = None
) -> Ledger:
    """Return what became of the given videos.

    Args:
        root: Output root.
        videos: Which videos.
        see_chunks: Called with the chunk records of each video of which all are there, so that
            whoever needs them too does not read them again.
    """
    ledger = Ledger()
    failures = _video_failures(root)

    def read(video: Selected) -> tuple[Selected, _Stored | None]:
        is_planned = video.video_uuid not in failures
        return video, _read_video(root, video) if is_planned else None

    for video, stored in read_ahead(read, videos, root):
        ledger.num_videos += 1
        if video.video_uuid in failures:
            ledger.failed_videos[video.rel] = failures[video.video_uuid]
        elif stored is None:
            ledger.missing.append(video.rel)
        else:
            records = _add_video(ledger, root, video.rel, stored)
            if see_chunks is not None and records:
                see_chunks(video.rel, records)
    return ledger


@dataclass(frozen=True)
class _Stored:
    """What lies there of a planned video."""

    plan: Plan
    has_record: bool
    chunks: list[dict[str, Any] | None]
    """Records of the planned chunks, None where there is none."""


def _read_video(root: str, video: Selected) -> _Stored | None:
    """Return what lies there of a video, None when it has no plan."""
    uri = plan_uri(root, video.video_uuid)
    if not storage_for(root).exists(uri):
        return None
    plan = read_plan(uri)
    return _Stored(
        plan,
        storage_for(root).exists(video_record_uri(root, video.rel)),
        [
            read_json_if_there(chunk_record_uri(root, video.rel, index))
            for index in range(len(plan.chunks))
        ],
    )


def _video_failures(root: str) -> dict[str, str]:
    reasons = {}
    for stage in VIDEO_STAGES:
        for stat in storage_for(root).list(join(root, FAILURES, stage)):
            content = read_json(stat.uri)
            reasons[content["id"]] = content["reason"]
    return reasons


def _add_video(ledger: Ledger, root: str, rel: str, stored: _Stored) -> list[dict[str, Any]]:
    """Add a video and return its chunk records, none when one is missing."""
    plan = stored.plan
    ledger.seconds_in += plan.facts.duration_seconds
    ledger.num_clips_planned += len(plan.spans)
    if not stored.has_record:
        # It is written with the first chunk: which clips that one lacks is told below.
        ledger.missing.append(rel)
    elif not plan.spans:
        ledger.videos_without_clips.append(rel)
        return []
    num_failed = 0
    records = []
    for chunk_index, record in enumerate(stored.chunks):
        if record is None:
            ledger.missing.append(f"{rel}#{chunk_index}")
            ledger.missing.extend(_uncommitted(root, plan, chunk_index))
            continue
        records.append(record)
        num_failed += record["num_clips_failed"]
        planned = [span.clip_id for span in plan.chunk_spans(chunk_index)]
        _add_chunk(ledger, record, planned)
    if plan.spans and num_failed == len(plan.spans):
        ledger.failed_videos[rel] = "every_clip_failed"
    return records if len(records) == len(plan.chunks) else []


def _uncommitted(root: str, plan: Plan, chunk_index: int) -> Iterator[str]:
    """Yield the clips of a chunk without record that are neither committed nor failed."""
    for span in plan.chunk_spans(chunk_index):
        uris = [meta_uri(root, span.clip_id)]
        uris += [failure_uri(root, stage, span.clip_id) for stage in CLIP_STAGES]
        if not any(storage_for(root).exists(uri) for uri in uris):
            yield span.clip_id


def _add_chunk(ledger: Ledger, record: dict[str, Any], planned: list[str]) -> None:
    failed = [clip["span_uuid"] for clip in record["failed_clips"]]
    recorded = {*record["clips"], *record["filtered_clips"], *record["no_frames"], *failed}
    ledger.missing.extend(clip_id for clip_id in planned if clip_id not in recorded)
    ledger.num_clips_kept += len(record["clips"])
    ledger.num_clips_failed += len(failed)
    ledger.num_no_frames += len(record["no_frames"])
    ledger.seconds_out += record["total_clip_duration"]
    ledger.num_bytes_out += record["num_bytes"]
    for name, value in record.items():
        if name.startswith("num_clips_filtered_by_") and value:
            reason = name.removeprefix("num_clips_filtered_by_")
            ledger.rejected[reason] = ledger.rejected.get(reason, 0) + value
