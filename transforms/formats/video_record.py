"""``processed_videos/{rel}.json``: what is known of a source video."""

from __future__ import annotations

from typing import Literal

from transforms.formats.document import (
    Count,
    Document,
    Ratio,
    SchemaVersion,
    Seconds,
    Uuid,
    ours,
    upstream,
)

Uncovered = tuple[
    Seconds,
    Seconds,
    Literal[
        "shorter_than_min_clip_length",
        "limit_clips",
        "transition",
        "crop",
        "too_short",
        "too_long",
        "damaged",
    ],
]
"""Start and end in seconds of what is in no clip, and why: with fixed-stride the first two; with
detected shots where shots change, what is cut off both ends of a shot, shots too short for a clip,
what is beyond the longest clip, clips beyond limit_clips, and all behind the first damage of a
video kept up to there."""
Transition = tuple[Count, Count]
"""First frame, and the frame behind the last."""


class VideoRecord(Document):
    """Record of a video, written with its first chunk; also for a video without clips."""

    video: str = upstream()
    """Where the video lies: an absolute path or an object URI."""
    height: int = upstream(unit="pixels", gt=0)
    """Height as it is shown, after rotation."""
    width: int = upstream(unit="pixels", gt=0)
    """Width as it is shown, after rotation."""
    framerate: float = upstream(unit="frames per second", gt=0)
    """Average frame rate."""
    num_frames: Count = upstream(unit="frames")
    """``int(duration * framerate)``, as upstream computes it; not a count."""
    duration: Seconds = upstream(unit="seconds")
    """Duration of the video stream."""
    video_codec: str = upstream()
    """Codec as FFmpeg names it."""
    pixel_format: str = upstream()
    """Pixel format as FFmpeg names it."""
    audio_format: str | None = upstream()
    """Codec of the audio; null without audio."""
    num_total_clips: Count = upstream(unit="clips")
    """Planned clips."""
    num_clip_chunks: Count = upstream(unit="chunks")
    """Chunks the clips are grouped into: the video is done when it has so many chunk records."""
    video_uuid: Uuid = upstream()
    """Id of the video: uuid5 of ``source_id``."""
    source_id: str = ours()
    """What the ids are made from: ``video``, or ``id_root`` and the relative path."""
    source_identity: str = ours(pattern=r"^\d+-[0-9a-f]{64}$")
    """Size, and a hash of the first and last MiB, when the video was planned."""
    num_bytes: Count = ours(unit="bytes")
    """Size of the file."""
    rotation: Literal[0, 90, 180, 270] = ours(unit="degrees clockwise")
    """Turn that shows the stored picture upright; clips are upright already."""
    sample_aspect_ratio: Ratio = ours()
    """Width over height of one pixel."""
    variable_frame_rate: bool = ours()
    """Whether frames were seen to last differently long."""
    time_base: Ratio = ours(unit="seconds")
    """Length of one PTS tick."""
    first_pts: int = ours(unit="ticks of time_base")
    """Smallest PTS of the video stream: second 0 of every span."""
    uncovered: list[Uncovered] = ours(unit="seconds")
    """Stretches in no clip: start, end, reason."""
    transitions: list[Transition] = ours(
        unit="frames", when="shots change gradually somewhere in the video"
    )
    """Gradual transitions: first frame, and the frame behind the last."""
    notes: list[str] = ours()
    """What had to be guessed, for example ``duration_from_packets``."""
    schema_version: SchemaVersion = ours()
    """Version of this format."""
