"""Write the tars of a shard."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from transforms.errors import MediaError
from transforms.json_files import BadJsonError, read_json, write_json
from transforms.json_parsing import MAX_SMALL_JSON_BYTES
from transforms.layout import clip_uri, meta_uri
from transforms.lease import Heartbeat, raise_if_lost
from transforms.progress import count, mark_first
from transforms.run_context import SCHEMA_VERSION
from transforms.scratch import scratch_here
from transforms.shards.layout import (
    METAS,
    TAR_KINDS,
    VIDEO,
    ShardName,
    commit_uri,
    lease_uri,
    tar_uri,
)
from transforms.shards.ledger import raise_if_samples_are_missing
from transforms.shards.options import DatasetRun, ShardSettings
from transforms.shards.samples import Sample, sample_json
from transforms.shards.shard_commits import missing_tars, read_commit
from transforms.shards.shard_samples import CLOSING_KEY, ShardKey, ShardSample, shard_of_key
from transforms.shards.tar_writer import TarWriter
from transforms.shards.window_mp4 import write_window
from transforms.storage.interface import NotFoundError, StorageError
from transforms.storage.local import TEMPORARY_PREFIX
from transforms.storage.open_storage import storage_for
from transforms.storage.plain_names import leads_outside


@dataclass(frozen=True, slots=True)
class WrittenShard:
    """A shard that this run wrote; small, for counting."""

    tar_name: str
    num_samples: int
    num_bytes: int


@dataclass(slots=True)
class _Made:
    """What was found while the tars were built."""

    reencoded: dict[str, str] = field(default_factory=dict)
    """Sample key to the reason why its packets could not be copied."""
    failed: dict[str, dict[str, str]] = field(default_factory=dict)
    """Sample key to reason and message."""


def write_shard(
    group: tuple[ShardKey, Iterable[ShardSample | None]],
    *,
    settings: ShardSettings,
    run: DatasetRun,
) -> WrittenShard:
    """Write a shard's tars and commit it; a finished one is left alone.

    The tars are built in scratch and each is published whole. Only tars that are missing are
    published; the commit comes last, so after a kill between tars the shard is written again, to
    the same bytes. A sample that cannot be made is left out of all tars and stands in the commit.

    Raises:
        LedgerError: Not all planned samples have arrived.
    """
    key, values = group
    if key == CLOSING_KEY:
        return WrittenShard("", 0, 0)
    shard = shard_of_key(key)
    planned = sorted((one for one in values if one is not None), key=lambda one: one.position)
    generation = planned[0].generation
    commit = read_commit(run, generation, shard)
    missing = list(TAR_KINDS) if commit is None else missing_tars(run, shard, commit)
    if not missing:
        return WrittenShard(shard.tar_name, 0, 0)
    raise_if_samples_are_missing(planned, shard, run)
    with Heartbeat(lease_uri(run), run.run_id).held(), _building_folder(run) as folder:
        made = _build([_sample(one, shard) for one in planned], folder, settings, run)
        if commit is None or made.failed != commit["failed"]:
            # Tars with other samples do not go together: all are new, or none.
            commit, missing = {"tars": {}}, list(TAR_KINDS)
        tars = dict(commit["tars"])
        raise_if_lost(lease_uri(run), run.run_id)
        for kind in missing:
            tars[kind] = _publish(folder / f"{kind}.tar", tar_uri(run, shard, kind))
    num_samples = len(planned) - len(made.failed)
    content = {
        "schema_version": SCHEMA_VERSION,
        "num_samples": num_samples,
        "tars": tars,
        "reencoded": made.reencoded,
        "failed": made.failed,
    }
    write_json(commit_uri(run, generation, shard), content)
    count(run.progress_folder, shards_written=1, samples_written=num_samples)
    mark_first(run.progress_folder, "shard")
    num_bytes = sum(tar["num_bytes"] for tar in tars.values())
    return WrittenShard(shard.tar_name, num_samples, num_bytes)


@contextlib.contextmanager
def _building_folder(run: DatasetRun) -> Iterator[Path]:
    """Return a new folder for the tars of one shard, where publishing them costs no copy."""
    staging = staging_folder(run)
    try:
        staging.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=TEMPORARY_PREFIX, dir=staging) as name:
            yield Path(name)
    except OSError as error:
        raise StorageError(f"{error.filename or staging}: {error.strerror}") from error


def staging_folder(run: DatasetRun) -> Path:
    """Return where unfinished tars of a dataset lie; a killed run leaves some."""
    staging = storage_for(run.dataset_root).staging(run.dataset_root, scratch_here(run.scratch))
    # Of its own for each version: another one may be in work, under another lease.
    return staging / run.annotation_version


def _build(samples: list[Sample], folder: Path, settings: ShardSettings, run: DatasetRun) -> _Made:
    """Build the tars of a shard in ``folder``, side by side, so that they hold the same keys."""
    made = _Made()
    with (
        TarWriter(folder / f"{VIDEO}.tar") as videos,
        TarWriter(folder / f"{METAS}.tar") as metas,
    ):
        for sample in samples:
            try:
                meta = _meta(sample, run)
                if sample.is_window:
                    _add_window(videos, sample, made, folder, run)
                else:
                    _add_clip(videos, sample, run)
            except MediaError as error:
                made.failed[sample.key] = {"reason": error.reason, "message": error.message}
                continue
            except NotFoundError as error:
                made.failed[sample.key] = {"reason": "removed", "message": str(error)}
                continue
            data = sample_json(
                meta,
                sample,
                captioning_algorithm=settings.captioning_algorithm,
                reencoded=made.reencoded.get(sample.key),
            )
            metas.add_bytes(f"{sample.key}.json", data)
    return made


def _meta(sample: Sample, run: DatasetRun) -> dict[str, Any]:
    """Return the clip's metadata; it may have changed since the shard was planned.

    Raises:
        MediaError: ``bad_metadata``, ``outside_input``.
        NotFoundError: It is gone.
    """
    uri = meta_uri(run.input_root, sample.clip_id, run.annotation_version)
    for file in (uri, clip_uri(run.input_root, sample.clip_id, rejected=False)):
        if leads_outside(file):
            raise MediaError("outside_input", f"{file}: is a link to a file outside its folder")
    try:
        meta = read_json(uri, max_bytes=MAX_SMALL_JSON_BYTES)
    except BadJsonError as error:
        raise MediaError("bad_metadata", str(error)) from error
    windows = meta.get("windows") or [] if isinstance(meta, dict) else None
    if not isinstance(windows, list) or not all(isinstance(window, dict) for window in windows):
        raise MediaError("bad_metadata", f"{uri}: is not the metadata of a clip")
    return meta


def _add_clip(videos: TarWriter, sample: Sample, run: DatasetRun) -> None:
    uri = clip_uri(run.input_root, sample.clip_id, rejected=False)
    storage = storage_for(uri)
    num_bytes = storage.stat(uri).num_bytes
    with storage.open_seekable(uri) as clip:
        videos.add_file(f"{sample.key}.mp4", clip, num_bytes)


def _add_window(
    videos: TarWriter, sample: Sample, made: _Made, folder: Path, run: DatasetRun
) -> None:
    uri = clip_uri(run.input_root, sample.clip_id, rejected=False)
    target = folder / "window.mp4"
    with storage_for(uri).local_file(uri, folder) as clip:
        video = write_window(clip, sample.start_frame, sample.end_frame, target=target)
    if video.reencoded is not None:
        made.reencoded[sample.key] = video.reencoded
    with target.open("rb") as window:
        videos.add_file(f"{sample.key}.mp4", window, video.num_bytes)


def _publish(path: Path, uri: str) -> dict[str, Any]:
    # The size is the check of a later run; what is packed has its own sha256 in its metadata.
    num_bytes = path.stat().st_size
    storage_for(uri).publish(uri, path)
    return {"num_bytes": num_bytes}


def _sample(planned: ShardSample, shard: ShardName) -> Sample:
    return Sample(
        clip_id=planned.clip_id,
        start_frame=planned.start_frame,
        end_frame=planned.end_frame,
        is_window=planned.is_window,
        num_bytes=0,
        bin_path=shard.bin_path,
    )
