"""What travels between the steps of detecting shots: one small record per segment of a video."""

from __future__ import annotations

from dataclasses import dataclass

from transforms.records import Failure, Video, VideoFacts
from transforms.shots.score_windows import Segment


@dataclass(frozen=True, slots=True)
class VideoSegment:
    """One segment of a video that is to be scored."""

    video: Video
    facts: VideoFacts
    segment: Segment | None = None
    """None: the video has its plan already; nothing is scored."""
    number: int = 0
    num_segments: int = 1
    scores_uri: str = ""
    """Where the scores are stored."""
    frames_path: str = ""
    """Handle of the small frames in the worker's scratch folder; empty when there are none."""
    failure: Failure | None = None
    """Why its frames could not be had."""
