"""The option that cuts black bars away."""

from __future__ import annotations

from typing import ClassVar

from transforms.section import Section, option


class BlackBars(Section):
    """Black bars at the edges of the source's picture."""

    title: ClassVar[str] = "Black bars"

    crop_black_bars: bool = option(False)
    """Cut black bars away at encoding, the same box for all clips of a video. Nothing is cut where
    it is not sure that there are bars; a video in which everything is black fails."""
