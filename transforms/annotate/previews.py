"""Options of the previews: one small animated WebP per caption window."""

from __future__ import annotations

from typing import ClassVar

from transforms.section import Section, option


class Previews(Section):
    """Small moving pictures to look through a data set with."""

    title: ClassVar[str] = "Previews"

    generate_previews: bool = option(False)
    """Write an animated WebP per caption window to previews/{clip}/{first}_{last}.webp."""

    preview_target_fps: int = option(1, unit="frames per second", ge=1)
    """Pictures per second of video in a preview."""

    preview_target_height: int = option(240, unit="pixels", ge=16)
    """Height of a preview; its width keeps the clip's proportions."""
