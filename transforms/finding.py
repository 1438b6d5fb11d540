"""What ``verify`` finds wrong in an output, and what its repair takes away."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from transforms.storage.open_storage import storage_for

Watch = Callable[[int], None]
"""Told of every block that was read, in bytes; for showing progress."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is missing or wrong."""

    what: str
    """Kind of the thing: ``clip``, ``chunk``, ``video``, ``shard``, ``summary``, ..."""
    id: str
    """Id of the clip, ``rel#i`` of a chunk, relative path of a video, name of a shard, ..."""
    path: str
    """The file concerned."""
    reason: str
    """What was needed and what was found."""
    removes: tuple[str, ...] = ()
    """What the repair deletes, commits first. Empty: the command that wrote it completes it."""
    num_clips: int = 0
    """Planned clips that are still to be made."""

    @property
    def is_damage(self) -> bool:
        """Whether a commit stands for what is not there: no run would look at it again."""
        return bool(self.removes)


def remove(findings: Iterable[Finding]) -> int:
    """Delete what the findings' repairs name, in order; return how many files those were."""
    gone = dict.fromkeys(uri for finding in findings for uri in finding.removes)
    num_removed = 0
    for uri in gone:
        storage = storage_for(uri)
        num_removed += storage.exists(uri)
        storage.delete(uri)
    return num_removed
