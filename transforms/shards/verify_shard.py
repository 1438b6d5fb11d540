"""Check one planned shard: its commit, its tars, and every sample in them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transforms.checked_files import BadFileError, read_checked
from transforms.clips.verified_clips import VerifiedClips, packed
from transforms.errors import MediaError
from transforms.finding import Finding, Watch
from transforms.formats.clip_meta import ClipMeta
from transforms.formats.dataset import ShardCommit
from transforms.json_parsing import MAX_SMALL_JSON_BYTES
from transforms.layout import clip_uri, meta_uri
from transforms.shards.layout import METAS, TAR_KINDS, VIDEO, ShardName, commit_uri, tar_uri
from transforms.shards.options import DatasetRun
from transforms.shards.part_plans import PlannedSample
from transforms.shards.tar_reader import BadTarError, TarReader
from transforms.shards.verify_sample import key_of, metadata_problem, planned_problem, read_sample
from transforms.storage.hashing import stored_sha256
from transforms.storage.interface import NotFoundError, StorageError
from transforms.storage.open_storage import storage_for


@dataclass(frozen=True)
class ShardCheck:
    """What the checks of all shards of a dataset share."""

    run: DatasetRun
    generation: int
    clips: VerifiedClips | None
    """The output the samples were made of, None when only the dataset is verified."""
    watch: Watch
    scratch: Path


class _WrongSampleError(Exception):
    """A sample contradicts its clip: message, and the metadata if the clip is in doubt too."""

    def __init__(self, reason: str, meta: dict[str, Any] | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.meta = meta


def verify_shard(
    shard: ShardName, samples: tuple[PlannedSample, ...], check: ShardCheck
) -> Iterator[Finding]:
    """Yield what is missing or wrong of a shard; of its samples the first that is."""
    name = f"{shard.bin_path}/{shard.tar_name}"
    uri = commit_uri(check.run, check.generation, shard)
    try:
        commit = read_checked(uri, ShardCommit, check.watch)
        _check_commit(commit, samples)
    except NotFoundError:
        yield Finding("shard", name, uri, f"is not committed; it has {len(samples)} samples")
        return
    except BadFileError as error:
        yield Finding("shard", name, uri, str(error), (uri,))
        return
    missing = list(_missing_tars(shard, commit, check))
    if missing:
        # The same command sees this too: a commit states the size of each tar.
        yield from (Finding("shard", name, path, reason) for path, reason in missing)
        return
    reading = VIDEO
    try:
        for kind in _walk(shard, samples, commit, check):
            reading = kind
    except (BadTarError, BadFileError, StorageError) as error:
        yield Finding("shard", name, tar_uri(check.run, shard, reading), str(error), (uri,))
    except _WrongSampleError as error:
        doubtful: tuple[str, ...] = ()
        if check.clips is not None and error.meta is not None:
            doubtful = check.clips.removals(error.meta)
        path = tar_uri(check.run, shard, METAS if error.meta else VIDEO)
        yield Finding("shard", name, path, error.reason, (uri, *doubtful))


def _check_commit(commit: dict[str, Any], samples: tuple[PlannedSample, ...]) -> None:
    keys = [key_of(sample) for sample in samples]
    windows = {key for key, sample in zip(keys, samples, strict=True) if sample[3]}
    if not commit["failed"].keys() <= set(keys):
        raise BadFileError("failed: names samples that are not planned for this shard")
    if not commit["reencoded"].keys() <= windows - commit["failed"].keys():
        raise BadFileError("reencoded: names samples that are no windows of this shard")
    expected = len(keys) - len(commit["failed"])
    if commit["num_samples"] != expected:
        raise BadFileError(f"num_samples: is {commit['num_samples']}, planned are {expected}")


def _missing_tars(
    shard: ShardName, commit: dict[str, Any], check: ShardCheck
) -> Iterator[tuple[str, str]]:
    for kind in TAR_KINDS:
        path, expected = tar_uri(check.run, shard, kind), commit["tars"][kind]["num_bytes"]
        try:
            num_bytes = storage_for(path).stat(path).num_bytes
        except NotFoundError:
            yield path, "is missing; the shard is committed"
            continue
        if num_bytes != expected:
            yield path, f"has {num_bytes} bytes, its commit says {expected}"


def _walk(
    shard: ShardName,
    samples: tuple[PlannedSample, ...],
    commit: dict[str, Any],
    check: ShardCheck,
) -> Iterator[str]:
    """Read both tars side by side; yield the kind of the tar that is read next."""
    uris = {kind: tar_uri(check.run, shard, kind) for kind in TAR_KINDS}
    with (
        storage_for(uris[VIDEO]).open_seekable(uris[VIDEO]) as video_file,
        storage_for(uris[METAS]).open_seekable(uris[METAS]) as metas_file,
    ):
        videos, metas = TarReader(video_file, check.watch), TarReader(metas_file, check.watch)
        for sample in samples:
            key = key_of(sample)
            if key in commit["failed"]:
                continue
            yield VIDEO
            digest = hashlib.sha256()
            for block in videos.member(f"{key}.mp4"):
                digest.update(block)
            yield METAS
            data = b"".join(metas.member(f"{key}.json", max_bytes=MAX_SMALL_JSON_BYTES))
            _check_sample(sample, data, digest.hexdigest(), commit, check)
        yield VIDEO
        videos.finish()
        yield METAS
        metas.finish()


def _check_sample(
    sample: PlannedSample, data: bytes, sha256: str, commit: dict[str, Any], check: ShardCheck
) -> None:
    key, is_window = key_of(sample), sample[3]
    content = read_sample(data)
    if content is None:
        raise BadTarError(f"{key}.json: is not JSON as this program writes it")
    if problem := planned_problem(content, sample, commit["reencoded"]):
        raise BadTarError(f"{key}.json: {problem}")
    if not is_window and content.get("sha256", sha256) != sha256:
        raise _WrongSampleError(f"{key}.mp4: its sha256 is not the one that {key}.json says")
    meta = _metadata(sample[0], check)
    if meta is None:
        return
    if problem := metadata_problem(content, meta):
        # Which of the two is right cannot be told: both are made again.
        raise _WrongSampleError(f"{key}.json: {problem}", meta)
    if is_window and _window_sha256(sample, check) not in (None, sha256):
        raise _WrongSampleError(f"{key}.mp4: is not what its clip gives")


def _metadata(clip_id: str, check: ShardCheck) -> dict[str, Any] | None:
    """Return the metadata of a clip that was found good, None for any other."""
    if check.clips is None or packed(clip_id) not in check.clips.committed:
        return None
    return read_checked(meta_uri(check.clips.root, clip_id), ClipMeta, check.watch)


def _window_sha256(sample: PlannedSample, check: ShardCheck) -> str | None:
    """Return the hash of the window made anew, None where the clip is not kept any more."""
    # PyAV is imported only where a clip has several windows.
    from transforms.shards.window_mp4 import write_window  # noqa: PLC0415

    clip_id, start, end, _ = sample
    if check.clips is None or packed(clip_id) not in check.clips.kept:
        return None
    uri, target = clip_uri(check.clips.root, clip_id, rejected=False), check.scratch / "window.mp4"
    try:
        with storage_for(uri).local_file(uri, check.scratch) as clip:
            write_window(clip, start, end, target=target)
        return stored_sha256(str(target), check.watch)
    except MediaError as error:
        raise _WrongSampleError(f"{key_of(sample)}.mp4: {error.message}") from error
