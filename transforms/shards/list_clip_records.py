"""Find the committed clips to pack, and read what samples each of them gives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from transforms.clips.wave_file import clips_of_wave
from transforms.json_files import BadJsonError, read_json, read_json_if_there
from transforms.json_parsing import MAX_SMALL_JSON_BYTES
from transforms.layout import (
    METAS,
    PROCESSED_CHUNKS,
    clip_uri,
    current_run_uri,
    meta_uri,
    options_uri,
    summary_uri,
)
from transforms.shards.options import DatasetRun, ShardSettings
from transforms.shards.samples import Dropped, Sample, is_kept, samples_of
from transforms.storage.ahead import read_ahead
from transforms.storage.interface import NotFoundError, StorageError
from transforms.storage.open_storage import storage_for
from transforms.storage.plain_names import is_plain_name, leads_outside, shown
from transforms.storage.uris import join

UNREADABLE = frozenset(
    {"no_metadata", "bad_metadata", "no_clip_file", "clip_file_changed", "bad_id", "outside_input"}
)
"""Reasons to drop a clip that may be gone by the next run; the others follow from its facts."""

LARGEST_SUMMARY = 1 << 28
"""Bytes; of a larger summary the records behind it are read one by one: as one piece it would take
a kilobyte of memory per clip, and from a few million clips on it is no JSON that is read at all."""


@dataclass(frozen=True, slots=True)
class ClipRecords:
    """The clips to pack."""

    clip_ids: set[str]
    kept_for_sure: bool
    """Whether none of them is rejected: the summary of an ended run says so."""


def list_clip_records(run: DatasetRun) -> ClipRecords:
    """Return the clips to pack.

    ``summary.json`` names the kept clips of finished videos (contract §2.2). Without it every clip
    with metadata is listed, and rejected ones are left out when their metadata is seen. Of a wave
    its own records tell.

    Raises:
        BadJsonError: The summary is not what a split writes.
    """
    if run.is_wave:
        return ClipRecords(set(clips_of_wave(run.input_root)), kept_for_sure=True)
    # A run that did not end may have rejected clips that the summary of an earlier one names.
    is_old = storage_for(run.input_root).exists(current_run_uri(run.input_root))
    if _is_long(run.input_root):
        return ClipRecords(set(_clips_of_chunks(run.input_root)), kept_for_sure=not is_old)
    summary = read_json_if_there(summary_uri(run.input_root))
    if summary is None:
        return ClipRecords(set(_clips_with_metadata(run)), kept_for_sure=False)
    try:
        return ClipRecords(clips_of_summary(summary), kept_for_sure=not is_old)
    except TypeError as error:
        raise BadJsonError(
            f"{summary_uri(run.input_root)}: is not the summary of a split: {error}; remove it, "
            "and every clip with metadata is packed"
        ) from error


def _is_long(root: str) -> bool:
    """Return whether this program wrote a summary here that is too large to be read whole."""
    storage = storage_for(root)
    try:
        num_bytes = storage.stat(summary_uri(root)).num_bytes
    except NotFoundError:
        return False
    return num_bytes > LARGEST_SUMMARY and storage.exists(options_uri(root))


def _clips_of_chunks(root: str) -> Iterator[str]:
    """Yield the kept clips from the records that the summary was made of."""
    uris = (stat.uri for stat in storage_for(root).list(join(root, PROCESSED_CHUNKS)))
    for record in read_ahead(read_json, uris, root):
        yield from record["clips"]


def clips_of_summary(summary: Mapping[str, Any]) -> set[str]:
    """Return the kept clips that a summary names.

    Each value that is a mapping with ``clips`` is a video, at the top level as upstream writes it
    and under ``videos``.

    Raises:
        TypeError: It is no mapping, or ``clips`` is no list of texts.
    """
    if not isinstance(summary, Mapping):
        raise TypeError(f"needed a mapping, got {type(summary).__name__}")
    videos = [*summary.values(), *_mapping(summary.get("videos")).values()]
    return {clip for video in videos for clip in _clips_of(_mapping(video))}


def _clips_of(video: Mapping[str, Any]) -> list[str]:
    clips = video.get("clips") or []
    if not isinstance(clips, list) or not all(isinstance(clip, str) for clip in clips):
        raise TypeError(f"clips must be a list of ids, got {shown(clips)}")
    return clips


def read_clip(
    clip_id: str, settings: ShardSettings, run: DatasetRun
) -> list[Sample] | Dropped | None:
    """Return the samples of one clip, why it gives none, or None for a rejected clip.

    The mp4 must be there with the size its metadata states: what is packed is what was scored.
    """
    if not is_plain_name(clip_id):
        return Dropped(shown(clip_id), "bad_id")
    uri = meta_uri(run.input_root, clip_id, run.annotation_version)
    if leads_outside(uri) or leads_outside(clip_uri(run.input_root, clip_id, rejected=False)):
        return Dropped(clip_id, "outside_input")
    try:
        meta = read_json(uri, max_bytes=MAX_SMALL_JSON_BYTES)
        return _samples_of_file(meta, clip_id, settings, run) if is_kept(meta) else None
    except NotFoundError:
        return Dropped(clip_id, "no_metadata")
    except (StorageError, AttributeError, KeyError, TypeError, ValueError, OverflowError):
        # Not JSON, a list instead of a mapping, a field that is missing or of another type.
        return Dropped(clip_id, "bad_metadata")


def _samples_of_file(
    meta: Mapping[str, Any], clip_id: str, settings: ShardSettings, run: DatasetRun
) -> list[Sample] | Dropped:
    if meta["span_uuid"] != clip_id:
        return Dropped(clip_id, "bad_metadata")
    num_bytes = _clip_size(clip_id, run)
    if num_bytes is None:
        return Dropped(clip_id, "no_clip_file")
    if meta.get("num_bytes", num_bytes) != num_bytes:
        return Dropped(clip_id, "clip_file_changed")
    return samples_of(
        meta,
        num_bytes=num_bytes,
        shard_bins=settings.shard_bins,
        window_size=settings.window_size,
    )


def _clip_size(clip_id: str, run: DatasetRun) -> int | None:
    uri = clip_uri(run.input_root, clip_id, rejected=False)
    try:
        return storage_for(uri).stat(uri).num_bytes
    except NotFoundError:
        return None


def _clips_with_metadata(run: DatasetRun) -> Iterator[str]:
    folder = join(run.input_root, METAS, run.annotation_version)
    for found in storage_for(folder).list(folder):
        name = found.uri.rsplit("/", 1)[-1]
        if name.endswith(".json"):
            yield name.removesuffix(".json")


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
