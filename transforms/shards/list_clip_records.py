"""Find the committed clips to pack, and read what samples each of them gives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from transforms.json_files import read_json, read_json_if_there
from transforms.layout import METAS, clip_uri, current_run_uri, meta_uri, summary_uri
from transforms.shards.options import DatasetRun, ShardSettings
from transforms.shards.samples import Dropped, Sample, is_kept, samples_of
from transforms.storage.interface import NotFoundError, StorageError
from transforms.storage.open_storage import storage_for
from transforms.storage.uris import join

UNREADABLE = frozenset({"no_metadata", "bad_metadata", "no_clip_file", "clip_file_changed"})
"""Reasons to drop a clip that may be gone by the next run; the others follow from its facts."""


@dataclass(frozen=True, slots=True)
class ClipRecords:
    """The clips to pack."""

    clip_ids: set[str]
    kept_for_sure: bool
    """Whether none of them is rejected: the summary of an ended run says so."""


def list_clip_records(run: DatasetRun) -> ClipRecords:
    """Return the clips to pack.

    ``summary.json`` names the kept clips of finished videos (contract §2.2). Without it every clip
    with metadata is listed, and rejected ones are left out when their metadata is seen.
    """
    summary = read_json_if_there(summary_uri(run.input_root))
    if summary is None:
        return ClipRecords(set(_clips_with_metadata(run)), kept_for_sure=False)
    # A run that did not end may have rejected clips that the summary of an earlier one names.
    is_old = storage_for(run.input_root).exists(current_run_uri(run.input_root))
    return ClipRecords(clips_of_summary(summary), kept_for_sure=not is_old)


def clips_of_summary(summary: Mapping[str, Any]) -> set[str]:
    """Return the kept clips that a summary names.

    Each value that is a mapping with ``clips`` is a video, at the top level as upstream writes it
    and under ``videos``.
    """
    videos = [*summary.values(), *_mapping(summary.get("videos")).values()]
    return {str(clip) for video in videos for clip in _mapping(video).get("clips") or ()}


def read_clip(
    clip_id: str, settings: ShardSettings, run: DatasetRun
) -> list[Sample] | Dropped | None:
    """Return the samples of one clip, why it gives none, or None for a rejected clip.

    The mp4 must be there with the size its metadata states: what is packed is what was scored.
    """
    try:
        meta = read_json(meta_uri(run.input_root, clip_id, run.annotation_version))
        return _samples_of_file(meta, clip_id, settings, run) if is_kept(meta) else None
    except NotFoundError:
        return Dropped(clip_id, "no_metadata")
    except (StorageError, AttributeError, KeyError, TypeError, ValueError):
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
