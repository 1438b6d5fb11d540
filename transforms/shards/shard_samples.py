"""What the plan sends to the writers of shards: samples, grouped by the shard they are for."""

from __future__ import annotations

from dataclasses import dataclass

from transforms.shards.layout import ShardName

ShardKey = tuple[str, str, str, str]
"""Resolution, aspect ratio, frame window or duration, shard; what samples are grouped by."""

CLOSING_KEY: ShardKey = ("", "", "", "")
"""The group that every run has: without it a run with nothing to write would not be finished."""


@dataclass(frozen=True, slots=True)
class ShardSample:
    """A planned sample on its way to the writer of its shard."""

    position: int
    """Place in the shard."""
    clip_id: str
    start_frame: int
    end_frame: int
    """Half-open ``[start_frame, end_frame)``."""
    is_window: bool
    generation: int
    num_planned: int
    """Samples of the shard: a writer that gets fewer has lost some on their way."""


def shard_key(shard: ShardName) -> ShardKey:
    """Return the key that a shard's samples are grouped by."""
    resolution, aspect_ratio, window = shard.bin_path.split("/")
    return resolution, aspect_ratio, window, shard.tar_name


def shard_of_key(key: ShardKey) -> ShardName:
    """Return the shard of a key.

    Example:
        >>> shard_of_key(("r", "a", "w", "part_000002/000007.tar")).part
        2
    """
    part, tar = key[3].split("/")
    return ShardName("/".join(key[:3]), int(part[-6:]), int(tar[:6]))
