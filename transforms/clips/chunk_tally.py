"""Counting a chunk's clips until all are there, and committing the chunk."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from transforms.clips.chunk_record import chunk_record
from transforms.clips.plan import Plan
from transforms.clips.video_record import video_record
from transforms.faults import kill_at
from transforms.json_files import create_json, json_bytes, write_json
from transforms.layout import chunk_record_uri, video_record_uri
from transforms.records import Failure
from transforms.run_context import RunContext
from transforms.storage.open_storage import storage_for


@dataclass
class ChunkTally:
    """What has come in of one chunk."""

    plan: Plan
    chunk_index: int
    metas: list[dict[str, Any]] = field(default_factory=list)
    failures: dict[str, Failure] = field(default_factory=dict)
    num_without_frames: int = 0

    @property
    def complete(self) -> bool:
        """Whether every planned clip has come in."""
        arrived = len(self.metas) + len(self.failures) + self.num_without_frames
        return arrived == len(self.plan.chunk_spans(self.chunk_index))


def commit_chunk(tally: ChunkTally, context: RunContext) -> None:
    """Write the chunk's record, and with chunk 0 the video's; an open record is replaced."""
    rel = tally.plan.video.rel
    kill_at("chunk_complete", f"{rel}#{tally.chunk_index}")
    if tally.chunk_index == 0:
        create_json(video_record_uri(context.root, rel), video_record(tally.plan))
    record = chunk_record(
        tally.plan,
        tally.chunk_index,
        metas=tally.metas,
        failures=tally.failures,
        context=context,
    )
    uri = chunk_record_uri(context.root, rel, tally.chunk_index)
    storage = storage_for(uri)
    if not storage.exists(uri):
        create_json(uri, record)
    elif storage.read(uri) != json_bytes(record):
        write_json(uri, record)
