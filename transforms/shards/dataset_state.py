"""What is remembered about a dataset as a whole: its layout and its generations."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass

from transforms.errors import PreflightError
from transforms.json_files import read_json_if_there
from transforms.run_context import SCHEMA_VERSION
from transforms.shards.changed_files import write_if_changed
from transforms.shards.damaged_file import damaged_file
from transforms.shards.layout import (
    TAR_KINDS,
    dataset_uri,
    generation_uri,
    state_uri,
    tar_uri,
    work_uri,
)
from transforms.shards.options import DatasetRun, ShardBins, ShardSettings
from transforms.shards.part_plans import read_plans
from transforms.storage.open_storage import storage_for
from transforms.storage.uris import relative

_GENERATION = re.compile(r"^generation_(\d{6})/")


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
        raise damaged_file(state_uri(run), run) from error
    if type(state.generation) is not int or type(state.building) not in (int, type(None)):
        raise damaged_file(state_uri(run), run)
    return state


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


def old_generations(run: DatasetRun, state: DatasetState) -> list[int]:
    """Return the generations of which files are left though a later one has replaced them."""
    folder = work_uri(run)
    found = {
        int(match.group(1))
        for stat in storage_for(folder).list(folder)
        if (match := _GENERATION.match(relative(stat.uri, folder)))
    }
    return sorted(found - {state.generation, state.target})


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
