"""Which clips of a split output get new captions, and which of them still wait for theirs."""

from __future__ import annotations

from collections.abc import Iterator

from transforms.layout import FAILURES, METAS, annotations_uri, meta_uri
from transforms.progress import count
from transforms.recaption.settings import RecaptionSettings
from transforms.run_context import FIRST_VERSION, RunContext
from transforms.shards.list_clip_records import list_clip_records
from transforms.shards.options import DatasetRun
from transforms.storage.open_storage import storage_for
from transforms.storage.uris import join

BATCH_SIZE = 16
"""Clips of one element: a captioned clip takes seconds, so batches spread over all workers."""

Batch = tuple[str, ...]


def planned_clips(root: str) -> list[str]:
    """Return the clips that are to be captioned anew, sorted by id.

    Those that ``shard`` would pack: of finished videos, and not rejected, as far as the summary
    says so; without one, rejected clips are among them and are left out when they are read.

    Args:
        root: Output root of ``split``, of this program or of upstream.
    """
    run = DatasetRun(
        input_root=root,
        dataset_root="",
        annotation_version=FIRST_VERSION,
        progress_folder="",
        scratch="",
    )
    return sorted(list_clip_records(run).clip_ids)


def list_clips(context: RunContext, settings: RecaptionSettings) -> Iterator[Batch]:
    """Yield the clips that have neither their metadata of the version nor a failure, in batches.

    When failed ones are to be tried again, every planned clip is yielded: whether a window has no
    caption stands in its metadata. Before anything is yielded, the version's summary goes: it is
    there only when nothing is open.
    """
    clip_ids = planned_clips(context.root)[: settings.limit or None]
    if not context.retry_failed:
        done = committed_clips(context.root, context.annotation_version)
        done |= failed_clips(context.root, context.annotation_version)
        clip_ids = [clip_id for clip_id in clip_ids if clip_id not in done]
    count(context.progress_folder, clips_to_annotate=len(clip_ids))
    if clip_ids:
        uri = summary_uri(context.root, context.annotation_version)
        storage_for(uri).delete(uri)
    for start in range(0, len(clip_ids), BATCH_SIZE):
        yield tuple(clip_ids[start : start + BATCH_SIZE])


def summary_uri(root: str, version: str) -> str:
    """Return what sums up a version; it is there when nothing of it is open."""
    return annotations_uri(root, version, "summary.json")


def committed_clips(root: str, version: str) -> set[str]:
    """Return the clips that have metadata of a version."""
    return _names(join(root, METAS, version))


def failed_clips(root: str, version: str) -> set[str]:
    """Return the clips that failed in a version."""
    return _names(annotations_uri(root, version, FAILURES))


def is_committed(root: str, version: str, clip_id: str) -> bool:
    """Return whether a clip has metadata of a version."""
    uri = meta_uri(root, clip_id, version)
    return storage_for(uri).exists(uri)


def _names(folder: str) -> set[str]:
    names = (stat.uri.rsplit("/", 1)[-1] for stat in storage_for(folder).list(folder))
    return {name.removesuffix(".json") for name in names if name.endswith(".json")}
