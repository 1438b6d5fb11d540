"""Options of ``shard``, and what its steps need of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from transforms.section import Section, option
from transforms.storage.routes import RoutesHolder, StorageRoute

ShardBins = Literal["frames", "duration"]

MIB = 1024 * 1024


class Sharding(Section):
    """How clips are packed into WebDataset shards."""

    title: ClassVar[str] = "Shards"

    input_clip_path: str | None = None
    """Output root of ``split`` to read clips and metadata from; ``curate`` fills it in.
    ``recaption`` writes the new metadata there, too."""
    output_dataset_path: str | None = None
    """Dataset root; the shards lie below it in a folder named after ``annotation_version``."""
    annotation_version: str = "v0"
    """Which metadata is read (``metas/VERSION``), and the folder of the dataset. ``recaption``
    writes this version: v1 unless another one is named."""
    input_semantic_dedup_path: str | None = None
    """Output root of ``dedup``; clips that it found to be duplicates are left out."""
    input_semantic_dedup_s3_profile_name: str = "default"
    """Credentials profile for reading ``input_semantic_dedup_path``."""
    semantic_dedup_epsilon: float = option(0.01, ge=0)
    """Clips whose similarity to an earlier clip is at least 1 minus this are duplicates."""
    max_tars_per_part: int = option(100, unit="tars", ge=1)
    """Most tars of one kind in a folder ``part_NNNNNN``."""
    target_tar_size_mb: int = option(500, unit="MiB", ge=1)
    """Size of the video in a tar before the next tar is begun; a larger sample gets its own."""
    min_clips_per_tar: int = option(1, unit="samples", ge=1)
    """With ``drop_small_shards``: fewest samples the last tar of a bin must have."""
    drop_small_shards: bool = False
    """Leave out the last tar of a bin when it has fewer than ``min_clips_per_tar`` samples."""
    shard_bins: ShardBins = "frames"
    """``frames``: one sample per caption window, in folders ``frames_A_B``. ``duration``: one
    sample per clip, in folders ``duration_A_B`` (upstream's newer layout)."""
    reshard: bool = False
    """Build all shards anew. Without it finished shards stay as they are, and new clips are
    appended in a new part."""


@dataclass(frozen=True, slots=True)
class ShardSettings:
    """Plain values of the options that the steps of ``shard`` use; small and picklable."""

    captioning_algorithm: str = "qwen"
    """Whose caption (``{algorithm}_caption``) becomes the caption of a sample."""
    window_size: int = 256
    """Frames of a full caption window where a clip's own windows do not tell."""
    dedup_path: str | None = None
    dedup_epsilon: float = 0.01
    max_tars_per_part: int = 100
    target_tar_bytes: int = 500 * MIB
    min_clips_per_tar: int = 1
    drop_small_shards: bool = False
    shard_bins: ShardBins = "frames"
    reshard: bool = False


def shard_settings(
    config: Sharding, *, captioning_algorithm: str, window_size: int
) -> ShardSettings:
    """Return the options of ``shard`` as its steps use them.

    Args:
        config: The section.
        captioning_algorithm: Value of the option of that name; captioning declares it.
        window_size: Value of ``captioning_window_size``, in frames.
    """
    return ShardSettings(
        captioning_algorithm=captioning_algorithm,
        window_size=window_size,
        dedup_path=config.input_semantic_dedup_path,
        dedup_epsilon=config.semantic_dedup_epsilon,
        max_tars_per_part=config.max_tars_per_part,
        target_tar_bytes=config.target_tar_size_mb * MIB,
        min_clips_per_tar=config.min_clips_per_tar,
        drop_small_shards=config.drop_small_shards,
        shard_bins=config.shard_bins,
        reshard=config.reshard,
    )


@dataclass(frozen=True)
class DatasetRun(RoutesHolder):
    """Where a run of ``shard`` reads and writes."""

    input_root: str
    """Output root of ``split``."""
    dataset_root: str
    """``output_dataset_path``."""
    annotation_version: str
    progress_folder: str
    """Local folder of the counters' files."""
    scratch: str
    """Local folder for files in work, on every worker."""
    run_id: str = ""
    """Unique name of the run that holds the dataset's lease; empty outside of a run."""
    routes: tuple[StorageRoute, ...] = ()
    """Whose credentials open input, dataset and duplicates' lists."""
    is_wave: bool = False
    """Whether only the clips of the wave in work are packed; what is left comes behind the last."""
