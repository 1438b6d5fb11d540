"""Find the committed clips to pack, and read what samples they give."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from transforms.json_files import read_json, read_json_if_there
from transforms.layout import METAS, clip_uri, meta_uri, summary_uri
from transforms.shards.layout import rows_folder
from transforms.shards.options import DatasetRun, ShardSettings
from transforms.shards.rows import Rows
from transforms.shards.samples import Dropped, Sample, is_kept, samples_of
from transforms.storage.interface import NotFoundError, StorageError
from transforms.storage.open_storage import storage_for
from transforms.storage.uris import join

BATCH_SIZE = 1000
"""Clips per batch: one element, one file of rows."""

_READ_THREADS = 8
"""Metadata files read at once in a worker; reading is waiting, as upstream's 32 threads show."""


@dataclass(frozen=True, slots=True)
class ClipBatch:
    """Ids of consecutive clips."""

    index: int
    clip_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RowsFile:
    """Where the rows of a batch lie."""

    index: int
    uri: str


def list_clip_records(run: DatasetRun) -> Iterator[ClipBatch]:
    """Yield the ids of the clips to pack, sorted, in batches; one empty batch when there are none.

    ``summary.json`` names the kept clips of finished videos (contract §2.2). Without it every clip
    with metadata is read, and rejected ones are left out when their metadata is seen.
    """
    summary = read_json_if_there(summary_uri(run.input_root))
    if summary is None:
        clip_ids = sorted(_clips_with_metadata(run))
    else:
        clip_ids = sorted(clips_of_summary(summary))
    # The empty batch keeps the steps behind going: a GroupByKey on nothing never fires.
    for index, start in enumerate(range(0, max(len(clip_ids), 1), BATCH_SIZE)):
        yield ClipBatch(index, tuple(clip_ids[start : start + BATCH_SIZE]))


def clips_of_summary(summary: Mapping[str, Any]) -> set[str]:
    """Return the kept clips that a summary names.

    Each value that is a mapping with ``clips`` is a video, at the top level as upstream writes it
    and under ``videos``.
    """
    videos = [*summary.values(), *_mapping(summary.get("videos")).values()]
    return {str(clip) for video in videos for clip in _mapping(video).get("clips") or ()}


def read_rows(batch: ClipBatch, *, settings: ShardSettings, run: DatasetRun) -> RowsFile:
    """Store the sample rows of a batch below the dataset's work folder; return where they lie.

    Called again for the same batch it writes the same file.
    """
    samples: list[Sample] = []
    dropped: list[Dropped] = []
    with ThreadPoolExecutor(_READ_THREADS) as pool:
        for found in pool.map(lambda clip_id: read_clip(clip_id, settings, run), batch.clip_ids):
            if isinstance(found, Dropped):
                dropped.append(found)
            elif found is not None:
                samples += found
    uri = join(rows_folder(run), f"{batch.index:06d}.npz")
    storage_for(uri).write(uri, Rows.of(samples, dropped).save())
    return RowsFile(batch.index, uri)


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
