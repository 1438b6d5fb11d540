"""Check a dataset from its files alone: plans against commits, commits against tars."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from transforms.checked_files import BadFileError, list_files, read_checked
from transforms.clips.verified_clips import VerifiedClips, packed
from transforms.finding import Finding, Watch
from transforms.formats.catalogue import kinds_of
from transforms.formats.dataset import DatasetState as StateDocument
from transforms.formats.dataset import PartPlan as PlanDocument
from transforms.formats.dataset import ShardCommit
from transforms.shards.layout import (
    TAR_KINDS,
    ShardName,
    commit_uri,
    dataset_uri,
    generation_uri,
    part_name,
    plans_folder,
    state_uri,
    work_uri,
)
from transforms.shards.options import DatasetRun
from transforms.shards.part_plans import PartPlan
from transforms.shards.verify_bins import FoundBin, verify_bins, verify_dropped
from transforms.shards.verify_shard import ShardCheck, verify_shard
from transforms.storage.interface import NotFoundError
from transforms.storage.uris import join, relative

_PART = re.compile(r"(.+)/part_(\d{6})\.json")
_TAR = re.compile(r"(.+)/(?:video|metas)/part_(\d{6})/(\d{6})\.tar")
_COMMIT = re.compile(r"(.+)/part_(\d{6})/(\d{6})\.json")


def dataset_versions(root: str) -> list[str]:
    """Return the versions of the datasets below a root that this program has notes of."""
    folder = join(root, ".work")
    found = set()
    for stat in list_files(folder):
        version, _, rest = relative(stat.uri, folder).partition("/")
        if rest == "dataset.json" or rest.startswith("generation_"):
            found.add(version)
    return sorted(found)


def verify_dataset(
    run: DatasetRun, clips: VerifiedClips | None, *, scratch: Path, watch: Watch
) -> list[Finding]:
    """Return everything that is missing or wrong in a dataset.

    Args:
        run: Which dataset.
        clips: The verified output it was made of; None: only the dataset is compared with itself.
        scratch: Local folder for windows made again.
        watch: Told of what is read.
    """
    uri = state_uri(run)
    try:
        state = read_checked(uri, StateDocument, watch)
    except NotFoundError:
        return [_without_state(run, uri, "is missing")]
    except BadFileError as error:
        return [_without_state(run, uri, str(error))]
    findings = []
    if state["building"] is not None:
        reason = f"--reshard began generation {state['building']} and no run has finished it"
        findings.append(Finding("dataset", run.annotation_version, uri, reason))
    check = ShardCheck(run, state["generation"], clips, watch, scratch)
    return findings + _verify_generation(check, is_whole=state["building"] is None)


def _without_state(run: DatasetRun, uri: str, reason: str) -> Finding:
    """Return the finding; all of the dataset goes, for it cannot be told what of it counts."""
    folders = (work_uri(run), dataset_uri(run))
    stats = [stat.uri for folder in folders for stat in list_files(folder)]
    ours = [found for found in stats if kinds_of("dataset", relative(found, run.dataset_root))]
    reason += "; which of its shards count cannot be told, so all are made again"
    return Finding("dataset", run.annotation_version, uri, reason, tuple(dict.fromkeys(ours)))


def _verify_generation(check: ShardCheck, *, is_whole: bool) -> list[Finding]:
    findings: list[Finding] = []
    bins: dict[str, FoundBin] = {}
    failed: dict[str, list[str]] = {}
    planned: set[bytes] = set()
    names: set[ShardName] = set()
    for plan in _plans(check, findings):
        for shard, samples in zip(plan.names(), plan.shards, strict=True):
            names.add(shard)
            planned.update(packed(sample[0]) for sample in samples)
            findings += verify_shard(shard, samples, check)
            _add_commit(shard, check, bins, failed)
    findings += _strays(names, check)
    incomplete = any(finding.what in ("shard", "plan") for finding in findings)
    if is_whole and not incomplete:
        findings += verify_bins(bins, check.run, check.watch)
    if is_whole:
        findings += verify_dropped(failed, planned, check.run, check.clips, check.watch)
    return findings


def _plans(check: ShardCheck, findings: list[Finding]) -> Iterator[PartPlan]:
    folder = plans_folder(check.run, check.generation)
    for stat in list_files(folder):
        match = _PART.fullmatch(relative(stat.uri, folder))
        if match is None:
            continue
        bin_path, part = match.group(1), int(match.group(2))
        try:
            content = read_checked(stat.uri, PlanDocument, check.watch)
            if (content["bin_path"], content["part"]) != (bin_path, part):
                raise BadFileError(f"is the plan of {content['bin_path']} part {content['part']}")
        except BadFileError as error:
            removes = (*_part_files(check, bin_path, part), stat.uri)
            name = f"{bin_path}/{part_name(part)}"
            findings.append(Finding("plan", name, stat.uri, str(error), removes))
            continue
        yield PartPlan(bin_path, part, tuple(_samples(shard) for shard in content["shards"]))


def _samples(shard: list[list[Any]]) -> tuple[tuple[str, int, int, bool], ...]:
    return tuple((clip, start, end, is_window) for clip, start, end, is_window in shard)


def _part_files(check: ShardCheck, bin_path: str, part: int) -> list[str]:
    """Return the commits and tars there are of a part, commits first."""
    commits = join(generation_uri(check.run, check.generation), "commits", bin_path)
    tars = [join(dataset_uri(check.run), bin_path, kind) for kind in TAR_KINDS]
    folders = [join(folder, part_name(part)) for folder in (commits, *tars)]
    return [stat.uri for folder in folders for stat in list_files(folder)]


def _add_commit(
    shard: ShardName, check: ShardCheck, bins: dict[str, FoundBin], failed: dict[str, list[str]]
) -> None:
    try:
        uri = commit_uri(check.run, check.generation, shard)
        commit = read_checked(uri, ShardCommit, check.watch)
    except (NotFoundError, BadFileError):
        return
    found = bins.setdefault(shard.bin_path, FoundBin())
    found.tar_names.append(shard.tar_name)
    found.num_samples += commit["num_samples"]
    for key, why in commit["failed"].items():
        failed.setdefault(why["reason"], []).append(key)


def _strays(names: set[ShardName], check: ShardCheck) -> Iterator[Finding]:
    """Yield commits and tars that no plan of any generation has."""
    commits = join(generation_uri(check.run, check.generation), "commits")
    tars = dataset_uri(check.run)
    others = _other_generations(check)
    for folder, pattern, known in ((commits, _COMMIT, names), (tars, _TAR, names | others)):
        for stat in list_files(folder):
            match = pattern.fullmatch(relative(stat.uri, folder))
            if match is None:
                continue
            shard = ShardName(match.group(1), int(match.group(2)), int(match.group(3)))
            if shard not in known:
                name = f"{shard.bin_path}/{shard.tar_name}"
                yield Finding("shard", name, stat.uri, "no plan has this shard", (stat.uri,))


def _other_generations(check: ShardCheck) -> set[ShardName]:
    """Return the shards that plans of other generations name; their tars are not strays."""
    pattern = re.compile(r"generation_\d{6}/plans/(.+)/part_(\d{6})\.json")
    folder = work_uri(check.run)
    found: set[ShardName] = set()
    for stat in list_files(folder):
        match = pattern.fullmatch(relative(stat.uri, folder))
        if match is None or stat.uri.startswith(plans_folder(check.run, check.generation) + "/"):
            continue
        try:
            content = read_checked(stat.uri, PlanDocument, check.watch)
        except BadFileError:
            continue
        part = int(match.group(2))
        found.update(ShardName(match.group(1), part, i) for i in range(len(content["shards"])))
    return found
