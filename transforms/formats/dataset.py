"""The JSON files of a dataset: descriptions of bins, and what is remembered about shards."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from transforms.formats.document import Count, Document, SchemaVersion, Uuid, ours, upstream

SampleKey = Annotated[str, Field(pattern=r"^[0-9a-f-]{36}(_\d+_\d+)?$")]


class WdInfo(Document):
    """``wdinfo.json`` of a bin; exactly upstream's fields."""

    data_keys: list[Literal["video", "metas"]] = upstream()
    """Folders of tars there are; ``t5_xxl`` joins them when text embeddings are built."""
    chunk_size: int = upstream(unit="tars", gt=0)
    """``max_tars_per_part``."""
    data_list: list[Annotated[str, Field(pattern=r"^part_\d{6}/\d{6}\.tar$")]] = upstream()
    """Names of the tars below each folder of ``data_keys``, sorted."""
    root: str = upstream()
    """Folder of the bin; for an object store the key prefix without the bucket."""
    total_key_count: Count = upstream(unit="samples")
    """Samples in the bin."""


class DroppedClips(Document):
    """Clips that are in no shard."""

    dropped: dict[str, list[SampleKey]] = ours()
    """Reason to ids of clips (of samples, where a window could not be made), sorted."""
    schema_version: SchemaVersion = ours()
    """Version of this format."""


class DatasetState(Document):
    """Which generation of the dataset is complete."""

    shard_bins: Literal["frames", "duration"] = ours()
    """Layout of the dataset."""
    generation: Count = ours()
    """The one that the files ``wdinfo.json`` describe."""
    building: int | None = ours(ge=1)
    """The one that ``--reshard`` began and no run has finished; null: none."""
    schema_version: SchemaVersion = ours()
    """Version of this format."""


class PartPlan(Document):
    """Which samples stand in which shard of one part of a bin; never changed once written."""

    bin_path: str = ours()
    """The bin, for example ``resolution_720/aspect_ratio_16_9/frames_0_255``."""
    part: Count = ours()
    """Number of the part."""
    shards: list[list[tuple[Uuid, Count, Count, bool]]] = ours()
    """Per shard its samples in order: clip, half-open frames, whether it is only a window of it."""
    schema_version: SchemaVersion = ours()
    """Version of this format."""


class CommittedTar(Document):
    """One tar of a shard."""

    num_bytes: int = ours(unit="bytes", gt=0)
    """Its size; a tar of another size counts as missing."""


class ShardTars(Document):
    """The tars of a shard, which hold the same keys in the same order."""

    video: CommittedTar = ours()
    """The clips."""
    metas: CommittedTar = ours()
    """Their metadata."""


class FailedSample(Document):
    """A planned sample that could not be made."""

    reason: str = ours()
    """Short cause."""
    message: str = ours()
    """One sentence for people."""


class ShardCommit(Document):
    """Says that the tars of a shard were written."""

    num_samples: Count = ours(unit="samples")
    """Samples in each tar."""
    tars: ShardTars = ours()
    """The tars."""
    reencoded: dict[SampleKey, str] = ours()
    """Windows that were encoded anew, and why their packets could not be copied."""
    failed: dict[SampleKey, FailedSample] = ours()
    """Samples left out of all tars."""
    schema_version: SchemaVersion = ours()
    """Version of this format."""
