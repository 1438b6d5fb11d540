"""What the look is to find out about a clip: plain values, read without importing FFmpeg."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MotionSettings:
    """How densely motion is sampled (contract §1.8)."""

    target_fps: float = 2.0
    """Frames to use per second of clip."""
    target_duration_ratio: float = 0.5
    """Share of the clip's sampled frames to use, never fewer than ten of them."""


@dataclass(frozen=True, slots=True)
class PreviewSettings:
    """What the previews look like (contract §1.15)."""

    target_fps: int = 1
    """Pictures per second."""
    target_height: int = 240
    """Height in pixels; the width keeps the proportions of the picture as displayed, made even."""


@dataclass(frozen=True, slots=True)
class FrameSettings:
    """Which frames of a clip a model is given, and how large (contract §1.7)."""

    fps: float = 2.0
    """Frames per second of the clip."""
    min_frames: int = 1
    """What the model needs; a clip that gives fewer is sampled at twice the rate, and so on."""
    square: int = 0
    """Side in pixels of the square that frames are stretched to; 0: they keep their proportions."""
    short_side: int = 0
    """Where ``square`` is 0: frames whose shorter side is longer are made smaller; 0: none are."""


@dataclass(frozen=True, slots=True)
class LookSettings:
    """What to find out about a clip; JSON-able by ``dataclasses.asdict``."""

    window_size: int = 256
    """Frames of a caption window."""
    remainder_threshold: int = 128
    """Frames that the rest of a clip needs to be a window of its own."""
    motion: MotionSettings | None = None
    """None: no motion scores."""
    previews: PreviewSettings | None = None
    """None: no previews."""
    scores: tuple[str, ...] = ()
    """What to measure on the pixels' brightness: names in ``observers.luma_scores.SCORERS``."""
    caption_fps: float | None = None
    """Frames per second of each window that a caption model is to see; None: no frames are kept."""
    embedding_frames: FrameSettings | None = None
    """Frames kept for a model that embeds the clip; None: none are."""

    def __post_init__(self) -> None:
        """Turn the list that JSON makes of a tuple back into one."""
        object.__setattr__(self, "scores", tuple(self.scores))
