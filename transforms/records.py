"""What flows between stages: small frozen records, never pixels or file bytes."""

from __future__ import annotations

import dataclasses
import re
import uuid
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

_HALF_PAIR = re.compile("[\ud800-\udfff]")


def video_uuid(source_id: str) -> str:
    """Return upstream's id of a video: uuid5 of the full input path (contract §1.16).

    Example:
        >>> video_uuid("s3://bucket/raw/a.mp4")
        'f30ffe29-21c0-56fb-9d9b-f5b1597c4be7'
    """
    return str(uuid.uuid5(uuid.NAMESPACE_URL, source_id))


@dataclass(frozen=True, slots=True)
class Video:
    """One selected input."""

    uri: str
    """Where the file lies: an absolute local path or an object URI."""
    rel: str
    """Path relative to the input root, extension included, separated by ``/``."""
    source_id: str
    """The string that ids are made from: ``uri``, or ``id_root/rel`` when ``id_root`` is given."""
    num_bytes: int
    """Size of the file."""

    @property
    def video_uuid(self) -> str:
        """Upstream's id of this video."""
        return video_uuid(self.source_id)


@dataclass(frozen=True, slots=True)
class VideoFacts:
    """What the container, its first packets and one picture say about the video stream."""

    container: str
    """Short name of the demuxer: mp4, matroska, avi, mpegts, flv, ..."""
    stream_index: int
    """Index of the chosen video stream in the container."""
    codec: str
    """Codec name as ffprobe prints it: h264, hevc, vp8, vp9, av1, mpeg4, ..."""
    width: int
    """Coded width in pixels, before rotation."""
    height: int
    """Coded height in pixels, before rotation."""
    rotation_degrees: int
    """Clockwise turn that shows the picture upright: 0, 90, 180 or 270."""
    sample_aspect_ratio: Fraction
    """Width over height of one pixel; 1 when unknown."""
    pixel_format: str
    """For example yuv420p, yuv420p10le."""
    bit_depth: int
    """Bits per luma sample."""
    color: tuple[str, str, str, str]
    """Range, primaries, transfer, matrix as FFmpeg names them; empty strings when untagged."""
    time_base: Fraction
    """Seconds per PTS tick of the video stream."""
    average_rate: Fraction
    """Frames per second: avg_frame_rate of the container."""
    duration_seconds: float
    """Of the stream, else of the container, else last PTS + one frame (see ``notes``)."""
    first_pts: int
    """Smallest PTS of the video stream, in ticks."""
    variable_frame_rate: bool
    """Whether the container's index or first packets show unequal frame durations."""
    bit_rate_kbit: int
    """Bit rate as upstream counts it: int(bit_rate / 1024), else 4000."""
    audio_codec: str
    """Codec of the best audio stream; empty when there is none."""
    num_streams: tuple[int, int, int]
    """Count of video, audio and other streams."""
    header_frames: int
    """Frame count the container promises; 0 when it does not say."""
    has_keyframe_index: bool
    """Whether the container holds an index of keyframes that can be trusted for seeking."""
    needs_full_read: bool
    """Whether cutting must read the whole file first because it has no index."""
    encrypted: bool
    """Whether the track is encrypted (CENC); such a file cannot be decoded."""
    notes: tuple[str, ...] = ()
    """For example ``duration_from_packets``."""

    @property
    def num_frames(self) -> int:
        """Upstream's frame number ``int(duration * fps)``; not a count (contract §1.4)."""
        return int(self.duration_seconds * float(self.average_rate))

    @property
    def display_size(self) -> tuple[int, int]:
        """Width and height in pixels after rotation."""
        if self.rotation_degrees in (90, 270):
            return self.height, self.width
        return self.width, self.height


@dataclass(frozen=True, slots=True)
class ProbedVideo:
    """A selected input and what its container says."""

    video: Video
    facts: VideoFacts


@dataclass(frozen=True, slots=True)
class Span:
    """One planned clip: a half-open stretch of a video.

    ``start_seconds``/``end_seconds`` are upstream's floats, which its ids are printed from.
    ``start``/``end`` are the exact times to cut at, in seconds after the video's first PTS.
    """

    clip_id: str
    start_seconds: float
    end_seconds: float
    start: Fraction
    end: Fraction | None
    """None: to the true last frame of the video."""


@dataclass(frozen=True, slots=True)
class SplitVideo:
    """A probed video and where it is to be cut."""

    video: Video
    facts: VideoFacts
    spans: tuple[Span, ...]
    uncovered: tuple[tuple[float, float, str], ...] = ()
    """Seconds outside every span: (start, end, reason)."""
    transitions: tuple[tuple[int, int], ...] = ()
    """Gradual transitions between shots, in frames, half-open."""


@dataclass(frozen=True, slots=True)
class CutRun:
    """Consecutive chunks of one video that share an entry keyframe: one forward decode pass.

    The clips stand in the plan file; the record only points at it.
    """

    plan_uri: str
    rel: str
    run_index: int
    source_uri: str
    """Where the video lies now; the plan says where it lay when it was planned."""


@dataclass(frozen=True, slots=True)
class Window:
    """Frames of a clip that get one caption; half-open ``[start_frame, end_frame)``."""

    start_frame: int
    end_frame: int
    num_bytes: int
    """Bytes of the window's video packets."""


MadeBy = Literal["encode", "passthrough", "copy"]
"""How a clip's file came to be: encoded, the source's bytes, or the source's packets."""


@dataclass(frozen=True, slots=True)
class ClipFile:
    """What the look found in the finished clip's file."""

    num_bytes: int
    sha256: str
    width: int
    height: int
    framerate: float
    num_frames: int
    """Decoded, not declared."""
    video_codec: str
    source_span_pts: tuple[int, int]
    """First frame's PTS and the PTS behind the last frame, half-open, in the source's ticks."""
    made_by: MadeBy
    windows: tuple[Window, ...]
    crop_box: tuple[int, int, int, int] | None = None
    """Left, top, width and height of what the clip shows of its source, in pixels of the source as
    it is shown upright; None: nothing was cropped."""
    repeated_dropped: tuple[int, int] | None = None
    """How many frames were repeated and dropped for a constant rate; None: no rate was made."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a filter turned a clip down."""

    filter: str
    score: float
    threshold: float


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a clip could not be made."""

    stage: str
    reason: str
    message: str


CaptionStatus = Literal["success", "truncated", "blocked", "error", "skipped"]
"""Upstream's outcomes of a window (contract §1.14)."""
CaptionReason = Literal["exception", "timeout"]
"""Why there is no caption: upstream's two reasons."""


@dataclass(frozen=True, slots=True)
class Enhancement:
    """What a text model made of a caption, or why it made nothing."""

    text: str = ""
    """Empty: the caption stays as it is."""
    message: str = ""
    """Why there is no text, for people; holds no secret."""
    prompt_tokens: int = 0
    output_tokens: int = 0


@dataclass(frozen=True, slots=True)
class CaptionAnswer:
    """What a caption model said of a window, or why it said nothing."""

    status: CaptionStatus
    text: str = ""
    reason: CaptionReason | Literal[""] = ""
    message: str = ""
    """The error, for people; holds no secret."""
    prompt_tokens: int = 0
    """Of all requests that led to this answer."""
    output_tokens: int = 0
    json_text: str = ""
    """The answer as JSON that fits the schema asked for; empty: none was asked for."""
    second_pass_message: str = ""
    """Why the second pass was of no use; empty: it was, or there was none."""
    enhancement: Enhancement | None = None
    """None: no text model was asked."""
    echoes_prompt: bool = False
    """Whether the text repeats its prompt."""

    def __post_init__(self) -> None:
        """Replace half surrogate pairs: JSON may hold them, and no strict reader takes them."""
        for name in ("text", "message", "json_text", "second_pass_message"):
            said = getattr(self, name)
            if _HALF_PAIR.search(said):
                object.__setattr__(self, name, _HALF_PAIR.sub("\ufffd", said))


@dataclass(frozen=True, slots=True)
class WindowCaption:
    """The answer about one window of a clip."""

    start_frame: int
    """Half-open, ``[start_frame, end_frame)``."""
    end_frame: int
    answer: CaptionAnswer


@dataclass(frozen=True, slots=True)
class ClipSource:
    """Where a clip was cut from, as prompts tell it."""

    name: str
    """Name of the source's file."""
    start_seconds: float
    """Where the clip begins in it."""


@dataclass(frozen=True, slots=True)
class ClipEmbedding:
    """What a clip's vector is; it lies in scratch under the clip's id."""

    algorithm: str
    """Value of ``embedding_algorithm``."""
    model_name: str
    model_version: str
    """Revision of the model on the hub, or a hash of its files; of a served model, its name."""
    device: str
    """``cpu``, ``cuda`` or ``served``: vectors differ in their last bits between them."""
    dtype: str
    """``float32`` or ``float16``."""
    shape: tuple[int, ...]
    """(D,) or (1, D)."""


Outcome = Literal["pending", "rejected", "failed", "no_frames", "committed"]


@dataclass(frozen=True, slots=True)
class Clip:
    """A planned clip on its way from the cut to its commit."""

    clip_id: str
    plan_uri: str
    rel: str
    clip_index: int
    """Position among all planned clips of the video."""
    chunk_index: int
    outcome: Outcome = "pending"
    file: ClipFile | None = None
    """None when the clip failed, has no frames, or was committed before."""
    scores: tuple[tuple[str, float], ...] = ()
    notes: tuple[tuple[str, str], ...] = ()
    """For example ("motion_missing", "resolution_too_small")."""
    rejection: Rejection | None = None
    failure: Failure | None = None
    redone: bool = False
    """Whether an already committed clip was only looked at again for a stage turned on later."""
    scratch: str = ""
    """Handle of the clip's files: the worker's scratch folder, see media/clip_files.py."""
    preview_names: tuple[str, ...] = ()
    """File names of the previews in scratch."""
    done: tuple[str, ...] = ()
    """Stages that the commit of a clip has that is ``redone``."""
    captions: tuple[WindowCaption, ...] = ()
    """One per caption window, when it was asked for."""
    source: ClipSource | None = None
    """Of a clip that is captioned anew, whose plan is not looked at; None: the plan tells."""
    embedding: ClipEmbedding | None = None
    """What the vector in scratch is; None: there is none."""

    def score(self, name: str) -> float | None:
        """Return the named score, or None when it was not measured."""
        return dict(self.scores).get(name)

    def updated(self, **changes: Any) -> Clip:
        """Return a copy with some fields changed."""
        return dataclasses.replace(self, **changes)

    def rejected(self, rejection: Rejection) -> Clip:
        """Return this clip turned down; an earlier rejection or failure stands."""
        if self.outcome != "pending":
            return self
        return dataclasses.replace(self, outcome="rejected", rejection=rejection)

    def failed(self, failure: Failure) -> Clip:
        """Return this clip failed; an earlier failure stands."""
        if self.outcome == "failed":
            return self
        return dataclasses.replace(self, outcome="failed", failure=failure)
