"""What was learnt of an output while it was verified, for what is verified after it."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Any

from transforms.clips.verify_clip import clip_removals
from transforms.models.embeddings.algorithms import ALGORITHMS


@dataclass
class VerifiedClips:
    """Clips of an output; ids are 16 bytes each, because there may be millions."""

    root: str
    rel_of: dict[str, str] = field(default_factory=dict)
    """Source id to relative path of every planned video."""
    unplanned: set[str] = field(default_factory=set)
    """Relative paths of selected videos without a plan that can be read."""
    num_chunks: dict[str, int] = field(default_factory=dict)
    """Relative path to the number of planned chunks."""
    committed: set[bytes] = field(default_factory=set)
    """Clips whose metadata and mp4 agree."""
    kept: set[bytes] = field(default_factory=set)
    """Those of them that no filter rejected."""
    embedded: set[tuple[bytes, str]] = field(default_factory=set)
    """Those that have an embedding, each with the folder it lies in."""
    planned: set[bytes] = field(default_factory=set)
    """All clips of all plans."""

    def add(self, meta: dict[str, Any]) -> None:
        """Note a clip that was found good."""
        identity = packed(meta["span_uuid"])
        self.committed.add(identity)
        if "rejection" not in meta:
            self.kept.add(identity)
        if "embedding" in meta:
            stem = ALGORITHMS[meta["embedding"]["algorithm"]].stem
            self.embedded.add((identity, stem))

    def removals(self, meta: dict[str, Any]) -> tuple[str, ...]:
        """Return what must go so that a run makes this good clip again."""
        rel = self.rel_of[meta["source_id"]]
        return clip_removals(self.root, rel, meta["chunk_index"], meta["span_uuid"])


def packed(clip_id: str) -> bytes:
    """Return an id in 16 bytes."""
    return uuid.UUID(clip_id).bytes


def unpacked(identity: bytes) -> str:
    """Return an id as it is written in files."""
    return str(uuid.UUID(bytes=identity))
