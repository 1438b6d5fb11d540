"""What is remembered about a dataset: its generation, its plans and its commits.

The plan of a part is written before the part's first tar and never changed. A shard is finished
when its commit exists and its tars have the sizes the commit states.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from transforms.errors import PreflightError
from transforms.json_files import BadJsonError, json_bytes, read_json, read_json_if_there
from transforms.run_context import SCHEMA_VERSION
from transforms.shards.layout import (
    TAR_KINDS,
    ShardName,
    commit_uri,
    dataset_uri,
    generation_uri,
    plan_uri,
    plans_folder,
    state_uri,
    tar_uri,
    work_uri,
)
from transforms.shards.options import DatasetRun, ShardBins, ShardSettings
from transforms.storage.interface import NotFoundError
from transforms.storage.open_storage import storage_for
from transforms.storage.plain_names import is_plain_name
from transforms.storage.uris import relative

_PART = re.compile(r"part_(\d{6})\.json$")
BIN_DEPTH = 3
"""Resolution, aspect ratio, frame window or duration."""
_GENERATION = re.compile(r"^generation_(\d{6})/")

PlannedSample = tuple[str, int, int, bool]
"""Clip id, half-open frames, whether it is a window of its clip."""


@dataclass(frozen=True, slots=True)
class DatasetState:
    """Which generation of the dataset is complete, and which is being built."""

    shard_bins: ShardBins
    generation: int = 0
    """The one that ``wdinfo.json`` describes, once it is finished."""
    building: int | None = None
    """The one that ``--reshard`` began and no run has finished."""

    @property
    def target(self) -> int:
        """The generation to work on."""
        return self.generation if self.building is None else self.building


@dataclass(frozen=True, slots=True)
class PartPlan:
    """Which samples stand in which shard of one part of a bin."""

    bin_path: str
    part: int
    shards: tuple[tuple[PlannedSample, ...], ...]

    def names(self) -> list[ShardName]:
        """Return the shards of the part."""
        return [ShardName(self.bin_path, self.part, index) for index in range(len(self.shards))]


def check_dataset(run: DatasetRun, settings: ShardSettings) -> None:
    """Check that the dataset root is empty or was begun by this program in the same layout.

    Raises:
        PreflightError: It holds files of another program, or shards of another layout.
    """
    state = read_state(run)
    if state is None:
        folder = dataset_uri(run)
        found = next(iter(storage_for(folder).list(folder)), None)
        if found is not None:
            raise PreflightError(
                f"output_dataset_path {run.dataset_root}: {found.uri} is there already and was not "
                "written by this program; give an empty output_dataset_path"
            )
    elif state.shard_bins != settings.shard_bins and not settings.reshard:
        raise PreflightError(
            f"output_dataset_path {run.dataset_root} holds shards with "
            f"shard_bins={state.shard_bins}, asked for was shard_bins={settings.shard_bins}; "
            "give --reshard to build it anew, or another output_dataset_path"
        )


def read_state(run: DatasetRun) -> DatasetState | None:
    """Return the dataset's state, None when nothing was begun.

    Raises:
        BadJsonError: The file is not what ``write_state`` writes.
    """
    content = read_json_if_there(state_uri(run))
    if content is None:
        return None
    try:
        state = DatasetState(
            shard_bins=content["shard_bins"],
            generation=content["generation"],
            building=content["building"],
        )
    except (KeyError, TypeError) as error:
        raise _damaged(state_uri(run), run) from error
    if type(state.generation) is not int or type(state.building) not in (int, type(None)):
        raise _damaged(state_uri(run), run)
    return state


def _damaged(uri: str, run: DatasetRun) -> BadJsonError:
    return BadJsonError(
        f"{uri}: is not what this program writes there; "
        f"give verify --repair {run.dataset_root}, or another output_dataset_path"
    )


def write_state(run: DatasetRun, state: DatasetState) -> None:
    """Store the dataset's state."""
    write_if_changed(state_uri(run), {"schema_version": SCHEMA_VERSION, **asdict(state)})


def begin(run: DatasetRun, settings: ShardSettings) -> DatasetState:
    """Return the state to plan in, stored; an unfinished rebuild is gone on with.

    Raises:
        PreflightError: As ``check_dataset``.
    """
    check_dataset(run, settings)
    state = read_state(run)
    if state is None:
        state = DatasetState(settings.shard_bins)
    elif settings.reshard and (state.building is None or state.shard_bins != settings.shard_bins):
        state = DatasetState(settings.shard_bins, state.generation, state.target + 1)
    write_state(run, state)
    return state


def write_plan(run: DatasetRun, generation: int, plan: PartPlan) -> None:
    """Store the plan of a part; the first one stands."""
    # Not by asdict, which copies every sample: a part may hold a hundred thousand.
    content = {
        "schema_version": SCHEMA_VERSION,
        "bin_path": plan.bin_path,
        "part": plan.part,
        "shards": plan.shards,
    }
    uri = plan_uri(run, generation, plan.bin_path, plan.part)
    storage_for(uri).create_if_absent(uri, json_bytes(content))


def read_plans(run: DatasetRun, generation: int) -> Iterator[PartPlan]:
    """Yield the plans of a generation, sorted by bin and part.

    Raises:
        BadJsonError: A file is not what ``write_plan`` writes there. What it names becomes part of
            paths that are written and removed.
    """
    folder = plans_folder(run, generation)
    for found in storage_for(folder).list(folder):
        try:
            plan = _plan(read_json(found.uri))
        except (KeyError, TypeError, ValueError) as error:
            raise _damaged(found.uri, run) from error
        if found.uri != plan_uri(run, generation, plan.bin_path, plan.part):
            raise _damaged(found.uri, run)
        yield plan


def _plan(content: Any) -> PartPlan:
    """Return the plan; raises KeyError, TypeError or ValueError when it is none."""
    shards = tuple(tuple(_planned(*sample) for sample in shard) for shard in content["shards"])
    bin_path, part = content["bin_path"], content["part"]
    names = str(bin_path).split("/")
    if len(names) != BIN_DEPTH or not all(is_plain_name(name) for name in names):
        raise ValueError(f"no bin: {bin_path!r}")
    if type(part) is not int:
        raise TypeError(f"no number: {part!r}")
    return PartPlan(bin_path, part, shards)


def _planned(clip_id: str, start: int, end: int, is_window: bool) -> PlannedSample:
    if not is_plain_name(clip_id) or type(start) is not int or type(end) is not int:
        raise TypeError(f"no sample: {clip_id!r}, {start!r}, {end!r}")
    if not 0 <= start < end:
        raise ValueError(f"no frames: {start} to {end}")
    return clip_id, start, end, bool(is_window)


def used_parts(run: DatasetRun) -> dict[str, int]:
    """Return the first part number of each bin that no generation has used."""
    folder = work_uri(run)
    following: dict[str, int] = {}
    for found in storage_for(folder).list(folder):
        match = _PART.search(found.uri)
        pieces = relative(found.uri, folder).split("/")
        if match and pieces[1:2] == ["plans"]:
            bin_path = "/".join(pieces[2:-1])
            following[bin_path] = max(following.get(bin_path, 0), int(match.group(1)) + 1)
    return following


def old_generations(run: DatasetRun, state: DatasetState) -> list[int]:
    """Return the generations of which files are left though a later one has replaced them."""
    folder = work_uri(run)
    found = {
        int(match.group(1))
        for stat in storage_for(folder).list(folder)
        if (match := _GENERATION.match(relative(stat.uri, folder)))
    }
    return sorted(found - {state.generation, state.target})


def read_commit(run: DatasetRun, generation: int, shard: ShardName) -> dict[str, Any] | None:
    """Return a shard's commit, None when it was not written.

    Raises:
        BadJsonError: The file is no commit.
    """
    uri = commit_uri(run, generation, shard)
    commit = read_json_if_there(uri)
    if commit is None:
        return None
    try:
        sizes = [commit["tars"][kind]["num_bytes"] for kind in TAR_KINDS]
        is_commit = isinstance(commit["failed"], dict) and isinstance(commit["num_samples"], int)
    except (KeyError, TypeError) as error:
        raise _damaged(uri, run) from error
    if not is_commit or not all(isinstance(size, int) for size in sizes):
        raise _damaged(uri, run)
    return dict(commit)


def missing_tars(run: DatasetRun, shard: ShardName, commit: dict[str, Any]) -> list[str]:
    """Return the kinds of tars that are not there with the size their commit states."""
    return [
        kind
        for kind in TAR_KINDS
        if _size(tar_uri(run, shard, kind)) != commit["tars"][kind]["num_bytes"]
    ]


def is_finished(run: DatasetRun, generation: int, shard: ShardName) -> bool:
    """Return whether a shard is committed and its tars are there."""
    commit = read_commit(run, generation, shard)
    return commit is not None and not missing_tars(run, shard, commit)


def remove_generation(run: DatasetRun, generation: int) -> None:
    """Remove a replaced generation: tars, commits, plans last, so that a kill loses no trace."""
    for plan in read_plans(run, generation):
        for shard in plan.names():
            for kind in TAR_KINDS:
                uri = tar_uri(run, shard, kind)
                storage_for(uri).delete(uri)
    folder = generation_uri(run, generation)
    # "commits" sorts before "plans"; the rows behind them are enough to find the rest again.
    for found in list(storage_for(folder).list(folder)):
        storage_for(found.uri).delete(found.uri)


def write_if_changed(uri: str, content: Any) -> None:
    """Store JSON (or text), unless the same is there: a run with nothing to do rewrites nothing."""
    write_bytes_if_changed(
        uri, content.encode() if isinstance(content, str) else json_bytes(content)
    )


def write_bytes_if_changed(uri: str, data: bytes) -> None:
    """Store bytes, unless the same are there."""
    storage = storage_for(uri)
    try:
        if storage.read(uri) == data:
            return
    except NotFoundError:
        pass
    storage.write(uri, data)


def _size(uri: str) -> int | None:
    try:
        return storage_for(uri).stat(uri).num_bytes
    except NotFoundError:
        return None
