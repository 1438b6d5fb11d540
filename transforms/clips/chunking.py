"""Options of how clips are grouped; apart from the stage, so that ``--help`` needs no Beam."""

from __future__ import annotations

from typing import ClassVar

from transforms.section import Section, option


class Chunking(Section):
    """How consecutive clips are grouped."""

    title: ClassVar[str] = "Chunks"

    clip_re_chunk_size: int = option(32, unit="x 8 seconds of clips", ge=1)
    """Consecutive clips of one video form a chunk of this many times eight seconds."""
