"""Options of the caption windows; apart from their rule, which children use without pydantic."""

from __future__ import annotations

from typing import ClassVar

from transforms.annotate.windows import MIN_WINDOW_FRAMES
from transforms.section import Section, option


class Windows(Section):
    """How clips are divided into caption windows."""

    title: ClassVar[str] = "Caption windows"

    captioning_window_size: int = option(256, unit="frames", ge=MIN_WINDOW_FRAMES)
    """Length of a caption window. Clips up to this length are one window."""

    captioning_remainder_threshold: int = option(128, unit="frames", ge=1)
    """What is left behind the last full window becomes a window of its own when it has at least
    this many frames; otherwise the last window is extended to the end of the clip."""
