"""What the steps of detecting shots share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from transforms.media.child_limits import ChildLimits
from transforms.shots.detection_options import ShotDetection
from transforms.shots.scenes import SceneLimits

WINDOWS_PER_SEGMENT = 40
"""A segment owns 2000 frames: some 8 MB small, a minute of video, 50 seconds of a core to score."""


@dataclass(frozen=True)
class Weights:
    """The file of TransNetV2's weights."""

    path: Path
    sha256: str


@dataclass(frozen=True)
class DetectionSettings:
    """How shots are detected."""

    algorithm: Literal["transnetv2", "content", "hybrid"]
    options: ShotDetection
    limit_clips: int
    scores_fingerprint: str
    """Fingerprint of what changes scores; part of the path they are stored under."""
    num_children: int
    limits: ChildLimits
    keep_prefix: bool = False
    """Whether a video that breaks off counts up to there; else it fails."""
    weights: Weights | None = None
    """None: the algorithm needs none."""
    windows_per_segment: int = WINDOWS_PER_SEGMENT

    def scene_limits(self, frames_per_second: float) -> SceneLimits:
        """Return what a scene must be to become clips."""
        options = self.options
        return SceneLimits.at(
            frames_per_second,
            min_length_s=options.transnetv2_min_length_s,
            min_length_frames=options.transnetv2_min_length_frames,
            max_length_s=options.transnetv2_max_length_s,
            max_length_mode=options.transnetv2_max_length_mode,
            crop_s=options.transnetv2_crop_s,
        )
