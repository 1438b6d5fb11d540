"""Counting a chunk's clips until all are there, and committing the chunk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from transforms.clips.chunk_record import chunk_record
from transforms.clips.clip_state import has_committed, read_clip_failure
from transforms.clips.embedding_files import write_tables
from transforms.clips.plan import Plan
from transforms.clips.video_record import video_record
from transforms.errors import CurateError, LedgerError
from transforms.faults import kill_at
from transforms.json_files import create_json, json_bytes, read_json_if_there
from transforms.layout import chunk_record_uri, meta_uri, video_record_uri
from transforms.records import Failure
from transforms.run_context import RunContext
from transforms.storage.open_storage import storage_for

_MAX_LOOKS = 20


@dataclass
class ChunkTally:
    """What has come in of one chunk."""

    plan: Plan
    chunk_index: int
    metas: list[dict[str, Any]] = field(default_factory=list)
    failures: dict[str, Failure] = field(default_factory=dict)
    without_frames: dict[str, str] = field(default_factory=dict)
    """Clips in whose span the video has no frame; why, when the source breaks off before them."""

    @property
    def complete(self) -> bool:
        """Whether every planned clip has come in."""
        arrived = len(self.metas) + len(self.failures) + len(self.without_frames)
        return arrived == len(self.plan.chunk_spans(self.chunk_index))


def stored_tally(
    plan: Plan,
    chunk_index: int,
    context: RunContext,
    *,
    without_frames: Mapping[str, str] = MappingProxyType({}),
) -> ChunkTally:
    """Return what lies in storage of a chunk.

    Args:
        plan: The video's plan.
        chunk_index: Which chunk.
        context: The run.
        without_frames: Clips known to have no frame, and why; nothing that is stored says so.
    """
    tally = ChunkTally(plan, chunk_index)
    for span in plan.chunk_spans(chunk_index):
        clip_id = span.clip_id
        meta = read_json_if_there(meta_uri(context.root, clip_id))
        # A committed clip may fail at a stage turned on later: then it is failed.
        failure = read_clip_failure(clip_id, context)
        if failure is not None and not has_committed(meta, context):
            tally.failures[clip_id] = failure
        elif meta is not None:
            tally.metas.append(meta)
        elif clip_id in without_frames:
            tally.without_frames[clip_id] = without_frames[clip_id]
    return tally


def commit_chunk(tally: ChunkTally, context: RunContext) -> None:
    """Write the chunk's record, and with chunk 0 the video's; an open record is replaced.

    A record that differs may be of another worker, and a clip's metadata another one than came in
    here: then what is stored counts. Each worker does so behind its last clip, so the last of them
    leaves a record that is true.

    Raises:
        LedgerError: A clip that came in is no longer stored.
    """
    rel = tally.plan.video.rel
    kill_at("chunk_complete", f"{rel}#{tally.chunk_index}")
    if tally.chunk_index == 0:
        create_json(video_record_uri(context.root, rel), video_record(tally.plan))
    uri = chunk_record_uri(context.root, rel, tally.chunk_index)
    storage = storage_for(uri)
    content = _content(tally, context)
    # Before the record: it stands for everything of the chunk.
    _write_tables(tally, context)
    if storage.create_if_absent(uri, content):
        return
    for _ in range(_MAX_LOOKS):
        # The version first: what is read may only be newer, and then replacing it fails.
        version = storage.stat(uri).version
        stored = storage.read(uri)
        if stored == content:
            return
        found = _complete_stored_tally(tally, context)
        content = _content(found, context)
        _write_tables(found, context)
        if stored == content:
            return
        storage.replace_if(uri, content, version)
    raise CurateError(
        f"{uri}: was replaced {_MAX_LOOKS} times by another process; see that only one run works "
        "in this output, then run the same command again"
    )


def _write_tables(tally: ChunkTally, context: RunContext) -> None:
    chunk = (tally.plan.video.video_uuid, tally.chunk_index)
    kept = [meta for meta in tally.metas if "rejection" not in meta]
    write_tables(context.root, chunk, kept, algorithm=context.embedding_algorithm)


def _complete_stored_tally(tally: ChunkTally, context: RunContext) -> ChunkTally:
    found = stored_tally(
        tally.plan, tally.chunk_index, context, without_frames=tally.without_frames
    )
    if found.complete:
        return found
    stored = {*(meta["span_uuid"] for meta in found.metas), *found.failures, *found.without_frames}
    planned = (span.clip_id for span in tally.plan.chunk_spans(tally.chunk_index))
    missing = ", ".join(clip_id for clip_id in planned if clip_id not in stored)
    raise LedgerError(
        f"{tally.plan.video.rel}#{tally.chunk_index}: committed clips are gone: {missing}; "
        "run the same command again to make them anew"
    )


def _content(tally: ChunkTally, context: RunContext) -> bytes:
    record = chunk_record(
        tally.plan,
        tally.chunk_index,
        metas=tally.metas,
        failures=tally.failures,
        context=context,
        truncated={clip_id: why for clip_id, why in tally.without_frames.items() if why},
    )
    return json_bytes(record)
