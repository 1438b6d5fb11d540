"""Describe the finished dataset, and remove what it replaced."""

from __future__ import annotations

import contextlib
import logging
import shutil
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from transforms.errors import LedgerError
from transforms.faults import kill_at
from transforms.json_files import read_json, read_json_if_there
from transforms.lease import raise_if_lost
from transforms.progress import mark_first
from transforms.run_context import SCHEMA_VERSION
from transforms.shards.changed_files import write_if_changed
from transforms.shards.dataset_state import (
    DatasetState,
    old_generations,
    read_state,
    remove_generation,
    write_state,
)
from transforms.shards.layout import (
    TAR_KINDS,
    ShardName,
    dataset_uri,
    dropped_clips_uri,
    lease_uri,
    part_name,
    wdinfo_list_uri,
    wdinfo_uri,
)
from transforms.shards.options import DatasetRun, ShardSettings
from transforms.shards.part_plans import read_plans
from transforms.shards.plan_shards import dropped_file
from transforms.shards.shard_commits import missing_tars, read_commit
from transforms.shards.write_shards import WrittenShard, staging_folder
from transforms.storage.open_storage import storage_for
from transforms.storage.uris import join, relative, scheme_of

_logger = logging.getLogger(__name__)

_TINY_PARTS = 10
"""So many parts of one bin with mostly a single tar slow a trainer down; then say so."""


@dataclass(frozen=True, slots=True)
class DatasetSummary:
    """What the dataset holds after a run."""

    dataset_uri: str
    num_bins: int = 0
    num_shards: int = 0
    num_samples: int = 0
    num_bytes: int = 0
    """Of all tars."""
    num_reencoded: int = 0
    """Windows whose packets could not be copied."""
    dropped: tuple[tuple[str, int], ...] = ()
    """Clips (or, when a window could not be made, samples) in no shard, by reason."""
    num_new_shards: int = 0
    """Written by this run."""
    warnings: tuple[str, ...] = ()


@dataclass(slots=True)
class _Bin:
    """What is found of one bin."""

    tar_names: list[str] = field(default_factory=list)
    num_samples: int = 0
    num_bytes: int = 0
    parts: Counter[int] = field(default_factory=Counter)


def finish_dataset(
    written: Iterable[WrittenShard], *, settings: ShardSettings, run: DatasetRun
) -> DatasetSummary:
    """Check that every planned shard is there, describe the dataset and return what it holds.

    Doing it again changes nothing. After ``--reshard`` the tars of the old generation go only when
    ``wdinfo.json`` and the list of bins name the new ones.

    Raises:
        LeaseLostError: Another run has taken over the dataset.
        LedgerError: A planned shard is not committed or its tars are not there.
    """
    raise_if_lost(lease_uri(run), run.run_id)
    state = read_state(run)
    if state is None:
        raise LedgerError(f"{dataset_uri(run)}: the dataset's state is gone; run shard again")
    bins = _listed_bins(run) if run.is_wave else {}
    reencoded, failed = _collect(bins, run, state.target)
    kill_at("tars_published")
    for bin_path, found in bins.items():
        write_if_changed(wdinfo_uri(run, bin_path), _wdinfo(bin_path, found, settings, run))
    lines = "".join(f"{wdinfo_uri(run, bin_path)}\n" for bin_path in sorted(bins))
    if lines or storage_for(wdinfo_list_uri(run)).exists(wdinfo_list_uri(run)):
        write_if_changed(wdinfo_list_uri(run), lines)
    num_new = sum(1 for shard in written if shard.tar_name and shard.num_bytes)
    if num_new:
        mark_first(run.progress_folder, "listed_shard")
    # Only the whole dataset's: a wave has not looked at all commits.
    dropped = {} if run.is_wave else _write_dropped(failed, run)
    _remove_replaced(bins, run, state)
    _remove_staging(run)
    warnings = _told_warnings(bins)
    return DatasetSummary(
        dataset_uri=dataset_uri(run),
        num_bins=len(bins),
        num_shards=sum(len(found.tar_names) for found in bins.values()),
        num_samples=sum(found.num_samples for found in bins.values()),
        num_bytes=sum(found.num_bytes for found in bins.values()),
        num_reencoded=reencoded,
        dropped=tuple(sorted((reason, len(keys)) for reason, keys in dropped.items())),
        num_new_shards=num_new,
        warnings=warnings,
    )


def _collect(
    bins: dict[str, _Bin], run: DatasetRun, generation: int
) -> tuple[int, dict[str, list[str]]]:
    """Fill ``bins`` from plans and commits; return re-encoded windows and failed ones by reason.

    Shards that ``bins`` names already are not looked at.
    """
    reencoded = 0
    failed: dict[str, list[str]] = {}
    listed = {path: frozenset(found.tar_names) for path, found in bins.items()}
    for plan in read_plans(run, generation):
        found = bins.setdefault(plan.bin_path, _Bin())
        for shard in plan.names():
            if shard.tar_name in listed.get(plan.bin_path, ()):
                continue
            commit = _commit(run, generation, shard)
            found.tar_names.append(shard.tar_name)
            found.parts[plan.part] += 1
            found.num_samples += commit["num_samples"]
            found.num_bytes += sum(tar["num_bytes"] for tar in commit["tars"].values())
            reencoded += len(commit["reencoded"])
            for key, why in commit["failed"].items():
                failed.setdefault(why["reason"], []).append(key)
    return reencoded, failed


def _listed_bins(run: DatasetRun) -> dict[str, _Bin]:
    """Return the bins as the list of bins and ``wdinfo.json`` describe them.

    A wave adds to them: that all shards of earlier waves are still there is checked once, behind
    the last wave, and not behind each.
    """
    storage = storage_for(wdinfo_list_uri(run))
    if not storage.exists(wdinfo_list_uri(run)):
        return {}
    bins = {}
    for uri in storage.read(wdinfo_list_uri(run)).decode().splitlines():
        content = read_json_if_there(uri)
        if content is not None:
            bin_path = relative(uri, dataset_uri(run)).rpartition("/")[0]
            tar_names = list(content["data_list"])
            bins[bin_path] = _Bin(tar_names, content["total_key_count"])
    return bins


def _commit(run: DatasetRun, generation: int, shard: ShardName) -> dict[str, Any]:
    commit = read_commit(run, generation, shard)
    missing = list(TAR_KINDS) if commit is None else missing_tars(run, shard, commit)
    if commit is None or missing:
        raise LedgerError(
            f"{dataset_uri(run)}/{shard.bin_path}: shard {shard.tar_name} is planned, but its "
            f"tars {', '.join(missing)} were not written; run shard again"
        )
    return commit


def _wdinfo(bin_path: str, found: _Bin, settings: ShardSettings, run: DatasetRun) -> dict[str, Any]:
    return {
        "chunk_size": settings.max_tars_per_part,
        "data_keys": list(TAR_KINDS),
        "data_list": sorted(found.tar_names),
        "root": _root(join(dataset_uri(run), bin_path)),
        "total_key_count": found.num_samples,
    }


def _root(uri: str) -> str:
    """Return a bin's path as upstream writes it: an object's key prefix without the bucket."""
    if not scheme_of(uri):
        return uri
    return uri.split("://", 1)[1].partition("/")[2]


def _write_dropped(failed: dict[str, list[str]], run: DatasetRun) -> dict[str, list[str]]:
    dropped = {reason: list(ids) for reason, ids in read_json(dropped_file(run))["dropped"].items()}
    for reason, keys in failed.items():
        dropped[reason] = sorted([*dropped.get(reason, []), *keys])
    uri = dropped_clips_uri(run)
    if dropped or storage_for(uri).exists(uri):
        write_if_changed(uri, {"schema_version": SCHEMA_VERSION, "dropped": dropped})
    return dropped


def _remove_replaced(bins: dict[str, _Bin], run: DatasetRun, state: DatasetState) -> None:
    if state.building is not None:
        state = replace(state, generation=state.building, building=None)
        write_state(run, state)
    for generation in old_generations(run, state):
        for plan in read_plans(run, generation):
            if plan.bin_path not in bins:
                uri = wdinfo_uri(run, plan.bin_path)
                storage_for(uri).delete(uri)
        remove_generation(run, generation)


def _remove_staging(run: DatasetRun) -> None:
    """Remove tars in work: every shard is committed, so they are of runs that were killed."""
    shutil.rmtree(staging_folder(run), ignore_errors=True)
    with contextlib.suppress(OSError):
        # Unless another version of the dataset is in work.
        staging_folder(run).parent.rmdir()


def _told_warnings(bins: dict[str, _Bin]) -> tuple[str, ...]:
    warnings = tuple(_warnings(bins))
    for warning in warnings:
        _logger.warning(warning)
    return warnings


def _warnings(bins: dict[str, _Bin]) -> Iterable[str]:
    for bin_path, found in sorted(bins.items()):
        single = sum(1 for tars in found.parts.values() if tars == 1)
        if len(found.parts) >= _TINY_PARTS and single > len(found.parts) // 2:
            yield (
                f"{bin_path} has {len(found.parts)} parts, {single} of them with one tar "
                f"({part_name(0)}, ...); --reshard packs them anew into full tars"
            )
