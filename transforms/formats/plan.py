"""``.work/plans/{video_uuid}.json``: what a video will be cut into, written before any cut."""

from __future__ import annotations

from typing import Literal

from transforms.formats.document import (
    Count,
    Document,
    Fingerprint,
    Ratio,
    SchemaVersion,
    Seconds,
    Uuid,
    ours,
)
from transforms.formats.video_record import Transition, Uncovered

Range = tuple[Count, Count]
"""Half-open: first index and the index behind the last."""


class PlannedVideo(Document):
    """The input file."""

    uri: str = ours()
    """Where it lies."""
    rel: str = ours()
    """Path relative to the input root."""
    source_id: str = ours()
    """What the ids are made from."""
    num_bytes: Count = ours(unit="bytes")
    """Size of the file."""


class PlannedFacts(Document):
    """Facts of the video stream, found without decoding it."""

    container: str = ours()
    """Short name of the demuxer."""
    stream_index: Count = ours()
    """Index of the stream in the container."""
    codec: str = ours()
    """Codec as FFmpeg names it."""
    width: int = ours(unit="pixels", gt=0)
    """Stored width, before rotation."""
    height: int = ours(unit="pixels", gt=0)
    """Stored height, before rotation."""
    rotation_degrees: Literal[0, 90, 180, 270] = ours(unit="degrees clockwise")
    """Turn that shows the picture upright."""
    sample_aspect_ratio: Ratio = ours()
    """Width over height of one pixel."""
    pixel_format: str = ours()
    """As FFmpeg names it."""
    bit_depth: int = ours(unit="bits", gt=0)
    """Bits per luma sample."""
    color: tuple[str, str, str, str] = ours()
    """Range, primaries, transfer, matrix; empty texts when untagged."""
    time_base: Ratio = ours(unit="seconds")
    """Length of one PTS tick."""
    average_rate: Ratio = ours(unit="frames per second")
    """Average frame rate."""
    duration_seconds: Seconds = ours(unit="seconds")
    """Duration of the stream."""
    first_pts: int = ours(unit="ticks of time_base")
    """Smallest PTS."""
    variable_frame_rate: bool = ours()
    """Whether frames were seen to last differently long."""
    bit_rate_kbit: Count = ours(unit="1024 bits per second")
    """Bit rate, 4000 when unknown."""
    audio_codec: str = ours()
    """Codec of the audio; empty without audio."""
    num_streams: tuple[Count, Count, Count] = ours()
    """Video, audio and other streams in the container."""
    header_frames: Count = ours(unit="frames")
    """Frames the container promises; 0 when it does not say."""
    has_keyframe_index: bool = ours()
    """Whether the container has an index of keyframes."""
    needs_full_read: bool = ours()
    """Whether the file must be read whole before it can be cut."""
    encrypted: bool = ours()
    """Whether the track is encrypted."""
    notes: list[str] = ours()
    """What had to be guessed."""


class PlannedClip(Document):
    """One clip to be cut."""

    clip_id: Uuid = ours()
    """Id of the clip."""
    start_seconds: Seconds = ours(unit="seconds")
    """Start as upstream counts it."""
    end_seconds: Seconds = ours(unit="seconds")
    """End as upstream counts it."""
    start: Ratio = ours(unit="seconds")
    """Exact start, counted from the video's first PTS."""
    end: Ratio | None = ours(unit="seconds")
    """Exact end; null: to the video's true last frame."""


class VideoPlan(Document):
    """Plan of a video; never changed once written."""

    video: PlannedVideo = ours()
    """The input."""
    facts: PlannedFacts = ours()
    """What the container says of the video stream."""
    source_identity: str = ours(pattern=r"^\d+-[0-9a-f]{64}$")
    """Size, and a hash of the first and last MiB."""
    spans: list[PlannedClip] = ours()
    """All clips in the order of the video."""
    chunks: list[Range] = ours()
    """Ranges of clips: one chunk record each."""
    runs: list[Range] = ours()
    """Ranges of chunks that are decoded in one pass."""
    uncovered: list[Uncovered] = ours(unit="seconds")
    """Stretches in no clip: start, end, reason."""
    transitions: list[Transition] = ours(
        unit="frames", when="shots change gradually somewhere in the video"
    )
    """Gradual transitions: first frame, and the frame behind the last."""
    spans_fingerprint: Fingerprint = ours()
    """Fingerprint of the options that decide where the video is cut."""
    schema_version: SchemaVersion = ours()
    """Version of this format."""
