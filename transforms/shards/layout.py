"""Where everything lies below the dataset root (contract §2.2, §2.5, §2.7).

Shards: ``{root}/{version}/{bin}/{kind}/part_000000/000000.tar``. What this program remembers lies
in ``{root}/.work/{version}``: the sample rows, plans and commits of each *generation* of the
dataset. Generation 0 is the first; ``--reshard`` begins the next one.
"""

from __future__ import annotations

from dataclasses import dataclass

from transforms.shards.options import DatasetRun, ShardSettings
from transforms.storage.uris import join

VIDEO = "video"
METAS = "metas"
TAR_KINDS = (VIDEO, METAS)
"""Kinds of tars of one shard, in the order of ``data_keys``."""

BinKey = tuple[str, str, str]
"""Folder names of a bin: resolution, aspect ratio, frame window or duration."""


@dataclass(frozen=True, slots=True, order=True)
class ShardName:
    """One shard of the dataset."""

    bin_path: str
    """For example ``resolution_720/aspect_ratio_16_9/frames_0_255``."""
    part: int
    index: int
    """Position in its part."""

    @property
    def tar_name(self) -> str:
        """Path of the shard's tars below the folder of their kind."""
        return f"{part_name(self.part)}/{self.index:06d}.tar"


def part_name(part: int) -> str:
    """Return the folder name of a part."""
    return f"part_{part:06d}"


def dataset_uri(run: DatasetRun) -> str:
    """Return the folder of the dataset's version."""
    return join(run.dataset_root, run.annotation_version)


def tar_uri(run: DatasetRun, shard: ShardName, kind: str) -> str:
    """Return where one tar of a shard lies."""
    return join(dataset_uri(run), shard.bin_path, kind, shard.tar_name)


def wdinfo_uri(run: DatasetRun, bin_path: str) -> str:
    """Return the description of a bin."""
    return join(dataset_uri(run), bin_path, "wdinfo.json")


def wdinfo_list_uri(run: DatasetRun) -> str:
    """Return the list of all bins."""
    return join(dataset_uri(run), "wdinfo_list.csv")


def dropped_clips_uri(run: DatasetRun) -> str:
    """Return the list of what is in no shard, by reason."""
    return join(dataset_uri(run), "dropped_clips.json")


def work_uri(run: DatasetRun) -> str:
    """Return the folder of what this program remembers about the dataset."""
    return join(run.dataset_root, ".work", run.annotation_version)


def lease_uri(run: DatasetRun) -> str:
    """Return the file that says which run works in this version of the dataset."""
    return version_lease_uri(run.dataset_root, run.annotation_version)


def version_lease_uri(dataset_root: str, annotation_version: str) -> str:
    """Return the lease of one version of a dataset, before there is a run."""
    return join(dataset_root, ".work", annotation_version, "lease.json")


def state_uri(run: DatasetRun) -> str:
    """Return the file that names the dataset's generation."""
    return join(work_uri(run), "dataset.json")


def generation_uri(run: DatasetRun, generation: int) -> str:
    """Return the folder of a generation's plans and commits."""
    return join(work_uri(run), f"generation_{generation:06d}")


def rows_folder(run: DatasetRun, generation: int, settings: ShardSettings) -> str:
    """Return the folder of sample rows made with the same bins and window size."""
    name = f"{settings.shard_bins}_{settings.window_size}"
    return join(generation_uri(run, generation), "rows", name)


def plans_folder(run: DatasetRun, generation: int) -> str:
    """Return the folder of a generation's plans."""
    return join(generation_uri(run, generation), "plans")


def plan_uri(run: DatasetRun, generation: int, bin_path: str, part: int) -> str:
    """Return the plan of one part of a bin."""
    return join(plans_folder(run, generation), bin_path, f"{part_name(part)}.json")


def commit_uri(run: DatasetRun, generation: int, shard: ShardName) -> str:
    """Return the file whose existence says that a shard's tars were written."""
    name = f"{part_name(shard.part)}/{shard.index:06d}.json"
    return join(generation_uri(run, generation), "commits", shard.bin_path, name)
