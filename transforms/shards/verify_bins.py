"""Check what describes a dataset as a whole: its bins, their list, and what was left out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from transforms.checked_files import BadFileError, list_files, read_checked
from transforms.clips.verified_clips import VerifiedClips, unpacked
from transforms.finding import Finding, Watch
from transforms.formats.dataset import DroppedClips, WdInfo
from transforms.formats.document import Document
from transforms.shards.layout import (
    TAR_KINDS,
    dataset_uri,
    dropped_clips_uri,
    wdinfo_list_uri,
    wdinfo_uri,
)
from transforms.shards.options import DatasetRun
from transforms.shards.plan_shards import dropped_file
from transforms.storage.interface import NotFoundError
from transforms.storage.open_storage import storage_for
from transforms.storage.uris import join, relative


@dataclass
class FoundBin:
    """What the plans and commits of a bin say."""

    tar_names: list[str] = field(default_factory=list)
    num_samples: int = 0


def verify_bins(bins: dict[str, FoundBin], run: DatasetRun, watch: Watch) -> Iterator[Finding]:
    """Yield what is wrong with ``wdinfo.json`` of each bin and with their list."""
    for bin_path, found in sorted(bins.items()):
        uri = wdinfo_uri(run, bin_path)
        expected = {
            "data_keys": list(TAR_KINDS),
            "data_list": sorted(found.tar_names),
            "total_key_count": found.num_samples,
        }
        try:
            content = read_checked(uri, WdInfo, watch)
        except NotFoundError:
            yield Finding("bin", bin_path, uri, "is missing")
            continue
        except BadFileError as error:
            yield Finding("bin", bin_path, uri, str(error), (uri,))
            continue
        wrong = [name for name, value in expected.items() if content[name] != value]
        # Only its end: a whole dataset may be moved.
        if not f"/{content['root']}".endswith(f"/{run.annotation_version}/{bin_path}"):
            wrong.append("root")
        if wrong:
            reason = f"{', '.join(wrong)}: not what plans and commits say"
            yield Finding("bin", bin_path, uri, reason, (uri,))
    yield from _verify_list(sorted(bins), run)
    yield from _strays(bins, run)


def verify_dropped(
    failed: dict[str, list[str]],
    planned: set[bytes],
    run: DatasetRun,
    clips: VerifiedClips | None,
    watch: Watch,
) -> Iterator[Finding]:
    """Yield kept clips that are nowhere, and what is wrong with the lists of dropped clips.

    Args:
        failed: Reason to keys of the samples that commits name as failed.
        planned: Ids of all clips that stand in plans.
        run: The dataset.
        clips: The output it was made of, None when only the dataset is verified.
        watch: Told of what is read.
    """
    noted = _read_dropped(dropped_file(run), watch)
    if isinstance(noted, Finding):
        yield noted
        return
    ids = {clip[:36] for listed in noted.values() for clip in listed}
    if clips is not None:
        nowhere = {unpacked(identity) for identity in clips.kept - planned} - ids
        for clip_id in sorted(nowhere):
            reason = "is kept, and neither in a shard nor listed as dropped"
            yield Finding("clip", clip_id, dropped_file(run), reason)
    expected = {reason: list(listed) for reason, listed in noted.items()}
    for reason, keys in failed.items():
        expected[reason] = sorted([*expected.get(reason, []), *keys])
    uri = dropped_clips_uri(run)
    told = _read_dropped(uri, watch) if expected or storage_for(uri).exists(uri) else {}
    if isinstance(told, Finding):
        yield told
    elif told != expected:
        wrong = sorted(_pairs(told) ^ _pairs(expected))
        reason = f"is not what planning left out: {', '.join(wrong)}"
        yield Finding("dropped", "dropped_clips", uri, reason, (uri,))


def _read_dropped(uri: str, watch: Watch) -> dict[str, list[str]] | Finding:
    document: type[Document] = DroppedClips
    try:
        dropped: dict[str, Any] = read_checked(uri, document, watch)["dropped"]
    except NotFoundError:
        return Finding("dropped", "dropped_clips", uri, "is missing")
    except BadFileError as error:
        return Finding("dropped", "dropped_clips", uri, str(error), (uri,))
    return dropped


def _pairs(dropped: dict[str, list[str]]) -> set[str]:
    return {f"{clip} {reason}" for reason, clips in dropped.items() for clip in clips}


def _verify_list(bin_paths: list[str], run: DatasetRun) -> Iterator[Finding]:
    uri = wdinfo_list_uri(run)
    expected = [f"/{run.annotation_version}/{bin_path}/wdinfo.json" for bin_path in bin_paths]
    try:
        lines = storage_for(uri).read(uri).decode("utf-8", "replace").splitlines()
    except NotFoundError:
        if expected:
            yield Finding("dataset", "wdinfo_list", uri, "is missing")
        return
    roots = {line.removesuffix(end) for line, end in zip(lines, expected, strict=False)}
    ends = [line[-len(end) :] for line, end in zip(lines, expected, strict=False)]
    if len(lines) != len(expected) or ends != expected or len(roots) > 1:
        reason = f"does not name the {len(expected)} bins that are planned, one per line"
        yield Finding("dataset", "wdinfo_list", uri, reason, (uri,))


def _strays(bins: Iterable[str], run: DatasetRun) -> Iterator[Finding]:
    known = {wdinfo_uri(run, bin_path) for bin_path in bins}
    folder = dataset_uri(run)
    for stat in list_files(folder):
        path = relative(stat.uri, folder)
        if path.count("/") == 3 and path.endswith("/wdinfo.json") and stat.uri not in known:
            reason = "describes a bin that no plan has"
            yield Finding("bin", path.rsplit("/", 1)[0], join(folder, path), reason, (stat.uri,))
