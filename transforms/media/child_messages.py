"""What a process and its children say to each other: one JSON line per message."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

from transforms.json_records import from_plain, to_plain
from transforms.media.clip_form import UNCHANGED, ClipForm
from transforms.media.encode_settings import EncodeSettings
from transforms.media.look_settings import LookSettings
from transforms.records import ClipFile, Failure, MadeBy, VideoFacts

Part = Literal["start", "wait", "index", "cut", "look", "probe", "frames"]
"""What a child is at: starting, waiting for a slot or a job, reading packet times, cutting,
looking, probing, making small frames for detecting shots."""


@dataclass(frozen=True, slots=True)
class JobClip:
    """One clip of a job."""

    clip_id: str
    start: Fraction
    """Seconds after the video's first PTS, exact."""
    end: Fraction | None
    """Exclusive; None: to the true last frame."""
    action: Literal["cut", "look", "skip"] = "cut"
    """Cut and look; only look at the finished file at ``path``; nothing (no report comes)."""
    path: str | None = None
    """The finished file; only for ``look``."""
    source_span_pts: tuple[int, int] = (0, 0)
    """For ``look``: as committed; goes into the report's file unchanged."""
    made_by: MadeBy = "encode"
    """For ``look``: as committed; goes into the report's file unchanged."""

    def __post_init__(self) -> None:
        """Refuse a look without its file.

        Raises:
            ValueError: ``path`` is missing.
        """
        if self.action == "look" and self.path is None:
            raise ValueError(f"clip {self.clip_id}: a look needs the path of the finished clip")


@dataclass(frozen=True, slots=True)
class CutJob:
    """One run of a video: clips that one forward decode pass makes."""

    job_id: str
    """Unique among the open jobs of a pool; usable as a file name."""
    source: str
    """Absolute path of the local video file."""
    facts: VideoFacts
    index_path: str
    """Absolute path of the packet index; made if it is not there."""
    clips: tuple[JobClip, ...]
    """Sorted by start; clips to cut do not overlap. Ids are unique."""
    encode: EncodeSettings
    look: LookSettings
    keep_prefix: float | None = None
    """As ``cut_run`` takes it: seconds that a clip must last which its source breaks off."""
    crop_black_bars: bool = False
    """Whether the video's black bars are found and cut away."""
    form: ClipForm = UNCHANGED
    """Size, rate and count of frames that are asked for."""


@dataclass(frozen=True, slots=True)
class LookJob:
    """Finished clips, whatever made them, that are to be looked at."""

    job_id: str
    """Unique among the open jobs of a pool."""
    clips: tuple[JobClip, ...]
    """All of them to look at. Ids are unique."""
    look: LookSettings


@dataclass(frozen=True, slots=True)
class ClipReport:
    """What became of one clip. No file and no failure: the span has no frames."""

    job_id: str
    clip_id: str
    file: ClipFile | None = None
    scores: dict[str, float] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    preview_files: tuple[str, ...] = ()
    """Names within the clip's preview folder."""
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class JobDone:
    """Every clip of the job has been reported."""

    job_id: str
    num_decoded: int
    """Source frames decoded, in all attempts."""
    seconds: dict[str, float]
    """Processor time of the last attempt per part: index, cut, look."""
    details: dict[str, float] = field(default_factory=dict)
    """Processor time within these parts: ``cut_decode``, and ``look_`` with each of
    ``LookResult.seconds``."""


@dataclass(frozen=True, slots=True)
class ProbeJob:
    """One video to probe."""

    job_id: str
    """The video's id."""
    uri: str
    num_bytes: int


@dataclass(frozen=True, slots=True)
class StretchJob:
    """A stretch of one video to copy to a file of its own, which is then probed."""

    job_id: str
    uri: str
    facts: VideoFacts
    path: str
    """Absolute path of the local file to write."""


@dataclass(frozen=True, slots=True)
class ProbeReport:
    """What was found: facts, or a failure of stage ``probe``."""

    job_id: str
    facts: VideoFacts | None = None
    failure: Failure | None = None
    seconds: float = 0.0
    """Processor time."""


@dataclass(frozen=True, slots=True)
class IndexJob:
    """One video whose packet index is to be made."""

    job_id: str
    """The video's id."""
    source: str
    """Absolute path of the local video file."""
    facts: VideoFacts
    index_path: str
    """Absolute path of the file to write."""
    is_made: bool
    """Whether a file that is there already is of this source; else it is made anew."""
    keep_prefix: bool
    """Whether a video that breaks off counts up to there; else it fails."""


@dataclass(frozen=True, slots=True)
class IndexReport:
    """How many frames the video has, or a failure of stage ``split``."""

    job_id: str
    num_frames: int = 0
    failure: Failure | None = None
    seconds: float = 0.0
    """Processor time of the last attempt."""


@dataclass(frozen=True, slots=True)
class FramesJob:
    """A stretch of one video whose frames are to be made small."""

    job_id: str
    """Unique among the open jobs of a pool."""
    source: str
    """Absolute path of the local video file."""
    facts: VideoFacts
    index_path: str
    """Absolute path of its packet index."""
    frames: tuple[int, int]
    """Half-open range of frame numbers."""
    all_pixels: bool
    """As ``small_frames`` takes it."""
    path: str
    """Absolute path of the ``.npy`` file to write."""


@dataclass(frozen=True, slots=True)
class FramesReport:
    """The file is written, or there is a failure of stage ``split``."""

    job_id: str
    num_decoded: int = 0
    """Source frames decoded, in the last attempt."""
    seconds: float = 0.0
    """Processor time of the last attempt."""
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Hello:
    """The child has started and takes jobs."""

    pid: int


@dataclass(frozen=True, slots=True)
class Tick:
    """The child is getting on."""

    part: Part
    clip_id: str | None
    """The clip it works on, if the part is about one."""
    num_decoded: int
    """Source frames decoded for this job so far, in this attempt."""


@dataclass(frozen=True, slots=True)
class Unusable:
    """This machine cannot do the work, whatever the clip: the scratch folder is full, ..."""

    message: str


PoolJob = CutJob | LookJob | IndexJob | FramesJob
"""Jobs of a pool: several at a time."""
Job = PoolJob | ProbeJob | StretchJob
JOBS = (CutJob, LookJob, IndexJob, FramesJob, ProbeJob, StretchJob)
LastMessage = JobDone | IndexReport | FramesReport | ProbeReport
LAST_MESSAGES = (JobDone, IndexReport, FramesReport, ProbeReport)
"""What ends the answer to a job."""
PoolReport = ClipReport | JobDone | IndexReport | FramesReport
Message = Job | ClipReport | LastMessage | Hello | Tick | Unusable
_KINDS: dict[str, type[Message]] = {
    kind.__name__: kind for kind in (*JOBS, ClipReport, *LAST_MESSAGES, Hello, Tick, Unusable)
}


def to_line(message: Message) -> bytes:
    """Return the message as one line of JSON, newline included."""
    pair = [type(message).__name__, to_plain(message)]
    return json.dumps(pair, separators=(",", ":")).encode("ascii") + b"\n"


def from_line(line: bytes) -> Message:
    """Return the message that ``to_line`` made this line from.

    Raises:
        ValueError: The line is no JSON or names no kind of message.
    """
    kind, plain = json.loads(line)
    if kind not in _KINDS:
        raise ValueError(f"need a message of kind {', '.join(_KINDS)}; got {kind!r}")
    return from_plain(_KINDS[kind], plain)
