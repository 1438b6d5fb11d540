"""Whether a video is done, failed or open, told from its records alone."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import Any

from transforms.json_files import read_json_if_there
from transforms.layout import (
    FAILURES,
    PROCESSED_CHUNKS,
    PROCESSED_VIDEOS,
    chunk_record_uri,
    failure_uri,
    packet_index_uri,
    plan_uri,
    video_record_uri,
)
from transforms.records import Video
from transforms.run_context import RunContext
from transforms.storage.ahead import read_ahead
from transforms.storage.open_storage import storage_for
from transforms.storage.uri_set import UriSet
from transforms.storage.uris import join

VIDEO_STAGES = ("probe", "split", "plan")
"""Stages in which a whole video fails; behind them single clips do."""


class VideoState(enum.Enum):
    """What remains to be done for a video."""

    OPEN = "open"
    """Something planned is not committed, or an active stage is missing."""
    FAILED = "failed"
    """Nothing is left but what failed; ``retry_failed`` opens it again."""
    DONE = "done"
    """Everything planned is committed."""


class StoredRecords:
    """Which records and failures of videos lie in an output, as two listings tell."""

    def __init__(self, root: str) -> None:
        storage = storage_for(root)
        self.records = UriSet(
            stat.uri
            for folder in (PROCESSED_VIDEOS, PROCESSED_CHUNKS)
            for stat in storage.list(join(root, folder))
        )
        self.failed = {
            stat.uri.rsplit("/", 1)[-1].removesuffix(".json")
            for stage in VIDEO_STAGES
            for stat in storage.list(join(root, FAILURES, stage))
        }
        """Ids of videos that failed before they were planned."""


def read_states(context: RunContext, videos: Iterable[Video]) -> dict[str, VideoState]:
    """Return the state of each video by its relative path.

    Reads one object per finished video and one per chunk of it, none of the chunks of a video that
    a listing shows to be open; two listings tell the rest.
    """
    stored = StoredRecords(context.root)
    found = read_ahead(
        lambda video: (video.rel, video_state(context, video, stored)), videos, context.root
    )
    return dict(found)


def video_state(context: RunContext, video: Video, stored: StoredRecords) -> VideoState:
    """Return the state of a video; reads as ``read_states``."""
    if video.video_uuid in stored.failed:
        return VideoState.FAILED
    uri = video_record_uri(context.root, video.rel)
    record = read_json_if_there(uri) if uri in stored.records else None
    if record is None:
        return VideoState.OPEN
    num_chunks = record["num_clip_chunks"]
    if any(
        chunk_record_uri(context.root, video.rel, index) not in stored.records
        for index in range(num_chunks)
    ):
        return VideoState.OPEN
    state = VideoState.DONE
    # Backwards: what a killed run left open is rather at the end, and one open chunk is enough.
    for index in reversed(range(num_chunks)):
        found = chunk_state(context, video.rel, index)
        if found is VideoState.OPEN:
            return found
        state = found if found is VideoState.FAILED else state
    return state


def chunk_state(context: RunContext, rel: str, chunk_index: int) -> VideoState:
    """Return the state of a chunk from its record."""
    record = read_json_if_there(chunk_record_uri(context.root, rel, chunk_index))
    if record is None:
        return VideoState.OPEN
    return record_state(context, record)


def record_state(context: RunContext, record: dict[str, Any]) -> VideoState:
    """Return the state that a chunk's record tells."""
    if context.missing_stages(record.get("stages", {})):
        return VideoState.OPEN
    return VideoState.FAILED if record["num_clips_failed"] else VideoState.DONE


def reopen_failed(context: RunContext, video: Video) -> None:
    """Remove what says that the video or clips of it failed: first the record, then the failure.

    A video of which nothing is committed is planned anew, because its file may have been mended.
    """
    storage = storage_for(context.root)
    for stage in VIDEO_STAGES:
        storage.delete(failure_uri(context.root, stage, video.video_uuid))
    record = read_json_if_there(video_record_uri(context.root, video.rel))
    num_committed = 0
    for index in range(record["num_clip_chunks"] if record else 0):
        uri = chunk_record_uri(context.root, video.rel, index)
        chunk = read_json_if_there(uri)
        num_committed += chunk["num_clips_transcoded"] if chunk else 1
        if chunk is None or not chunk["num_clips_failed"]:
            continue
        storage.delete(uri)
        for clip in chunk["failed_clips"]:
            storage.delete(failure_uri(context.root, clip["stage"], clip["span_uuid"]))
    if not num_committed:
        storage.delete(video_record_uri(context.root, video.rel))
        storage.delete(packet_index_uri(context.root, video.video_uuid))
        storage.delete(plan_uri(context.root, video.video_uuid))
