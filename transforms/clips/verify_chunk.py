"""Check one planned chunk: its clips, and its record against them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from transforms.checked_files import BadFileError, read_checked
from transforms.clips.chunk_record import chunk_record
from transforms.clips.plan import Plan
from transforms.clips.predict_dataset import missing_windows
from transforms.clips.verified_clips import VerifiedClips
from transforms.clips.verify_clip import ClipCheck, damaged_clip, verify_clip
from transforms.clips.verify_embeddings import verify_tables
from transforms.clips.verify_failures import Failures
from transforms.finding import Finding, Watch
from transforms.formats.chunk_record import ChunkRecord
from transforms.layout import chunk_record_uri, clip_uri, meta_uri
from transforms.run_context import RunContext
from transforms.storage.interface import NotFoundError
from transforms.storage.open_storage import storage_for


def verify_chunk(
    plan: Plan, chunk_index: int, failures: Failures, *, clips: VerifiedClips, watch: Watch
) -> Iterator[Finding]:
    """Yield what is missing or wrong of a chunk, and note its good clips in ``clips``."""
    first, end = plan.chunks[chunk_index]
    checks = []
    for clip_index in range(first, end):
        check = verify_clip(clips.root, plan, clip_index, chunk_index=chunk_index, watch=watch)
        yield from check.findings
        checks.append(check)
        if check.meta is not None and not check.is_damaged:
            clips.add(check.meta)
            yield from _without_windows(check.meta, plan, chunk_index, clips.root)
    name, uri = (
        chunk_name(plan, chunk_index),
        chunk_record_uri(clips.root, plan.video.rel, chunk_index),
    )
    try:
        record = read_checked(uri, ChunkRecord, watch)
    except NotFoundError:
        yield _without_record(name, uri, checks, failures)
    except BadFileError as error:
        yield Finding("chunk", name, uri, str(error), (uri,))
    else:
        yield from _against_record(record, plan, chunk_index, checks, failures, clips.root)


def _without_windows(
    meta: dict[str, Any], plan: Plan, chunk_index: int, root: str
) -> Iterator[Finding]:
    """Yield files of the Cosmos-Predict2 dataset that are gone; an open chunk writes them anew."""
    record = chunk_record_uri(root, plan.video.rel, chunk_index)
    for uri in missing_windows(root, meta):
        reason = "is missing; the clip's metadata says that it was written"
        yield Finding("window", meta["span_uuid"], uri, reason, (record,))


def chunk_name(plan: Plan, chunk_index: int) -> str:
    """Return what a chunk is called in messages."""
    return f"{plan.video.rel}#{chunk_index}"


def _without_record(name: str, uri: str, checks: list[ClipCheck], failures: Failures) -> Finding:
    open_clips = [
        check.clip_id
        for check in checks
        if check.meta is None and not check.is_damaged and check.clip_id not in failures
    ]
    reason = "its record is missing"
    if open_clips:
        reason += f"; {len(open_clips)} of its {len(checks)} clips are to do: "
        reason += ", ".join(open_clips)
    return Finding("chunk", name, uri, reason, num_clips=len(open_clips))


def _against_record(
    record: dict[str, Any],
    plan: Plan,
    chunk_index: int,
    checks: list[ClipCheck],
    failures: Failures,
    root: str,
) -> Iterator[Finding]:
    named_failed = {clip["span_uuid"] for clip in record["failed_clips"]}
    metas, failed = [], {}
    is_lost = False
    for check in checks:
        clip_id = check.clip_id
        # A committed clip may have failed at a stage turned on later: then it is failed.
        if clip_id in failures and (check.meta is None or clip_id in named_failed):
            failed[clip_id] = failures[clip_id][1]
        elif check.meta is not None:
            metas.append(check.meta)
        elif clip_id not in record["no_frames"] and not check.is_damaged:
            is_lost = True
            yield _lost_clip(root, plan, chunk_index, clip_id, clip_id in named_failed)
    if is_lost or any(check.is_damaged for check in checks):
        # The record goes with them; what else it says is no news.
        return
    expected = _expected_record(record, plan, chunk_index, metas, failed, root)
    if wrong := _wrong_record(record, expected, plan, chunk_index, root):
        yield wrong
        return
    yield from verify_tables(root, plan, chunk_index, metas)


def _expected_record(
    record: dict[str, Any],
    plan: Plan,
    chunk_index: int,
    metas: list[dict[str, Any]],
    failed: dict[str, Any],
    root: str,
) -> dict[str, Any]:
    """Return what the chunk's record must say of these clips."""
    truncated = record.get("source_truncated", ())
    expected = chunk_record(
        plan,
        chunk_index,
        metas=metas,
        failures=failed,
        context=_context(root, record),
        truncated={clip["span_uuid"]: clip["reason"] for clip in truncated},
    )
    if "score_counts" not in record:
        # Records of before there were distributions.
        expected.pop("score_counts", None)
    return expected


def _wrong_record(
    record: dict[str, Any],
    expected: dict[str, Any],
    plan: Plan,
    chunk_index: int,
    root: str,
) -> Finding | None:
    """Return what the record says wrongly; None when it is right."""
    wrong = sorted(name for name in expected if record.get(name) != expected[name])
    if not wrong:
        return None
    ids = _ids(record) ^ _ids(expected)
    uri = chunk_record_uri(root, plan.video.rel, chunk_index)
    reason = f"{', '.join(wrong)}: not what its clips say"
    reason += f" ({', '.join(sorted(ids))})" if ids else ""
    return Finding("chunk", chunk_name(plan, chunk_index), uri, reason, (uri,))


def _lost_clip(
    root: str, plan: Plan, chunk_index: int, clip_id: str, named_failed: bool
) -> Finding:
    path, reason = meta_uri(root, clip_id), "its metadata is missing; its chunk has a record"
    if named_failed:
        reason = "its chunk's record says that it failed; there is no failure file of it"
    elif any(_exists(clip_uri(root, clip_id, rejected=rejected)) for rejected in (False, True)):
        reason = "its metadata is missing; its mp4 and its chunk's record are there"
    return damaged_clip(root, plan.video.rel, chunk_index, clip_id, (path, reason))


def _exists(uri: str) -> bool:
    return storage_for(uri).exists(uri)


def _ids(record: dict[str, Any]) -> set[str]:
    """Return all clips a record accounts for, each with what it says of it."""
    lists = ("clips", "filtered_clips", "no_frames")
    named = {f"{clip} in {name}" for name in lists for clip in record[name]}
    return named | {f"{clip['span_uuid']} in failed_clips" for clip in record["failed_clips"]}


def _context(root: str, record: dict[str, Any]) -> RunContext:
    """Return the context of a run with the stages that the record claims for all its clips."""
    return RunContext(
        root=root,
        run_id="",
        scratch="",
        progress_folder="",
        stages=tuple(record["stages"].items()),
        spans_fingerprint="",
    )
