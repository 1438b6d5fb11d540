"""What is to be cut, frame by frame, before anything is decoded; and what became of it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from transforms.errors import MediaError
from transforms.media.out_of_memory import raise_if_out_of_memory
from transforms.media.packet_index import PacketIndex
from transforms.records import MadeBy, VideoFacts


@dataclass(frozen=True, slots=True)
class CutSpan:
    """A clip to cut: half-open, in seconds after the video's first PTS."""

    clip_id: str
    start: Fraction
    end: Fraction | None
    """None: to the end of the last frame."""


@dataclass(frozen=True, slots=True)
class CutResult:
    """What became of a span. ``path`` and ``failure`` both None: no frame lies in it."""

    clip_id: str
    path: Path | None
    made_by: MadeBy
    num_frames: int
    source_span_pts: tuple[int, int]
    """First frame's PTS and the PTS at which the last frame ends, in ticks of the source; the
    span's own bounds when no frame lies in it."""
    failure: tuple[str, str] | None = None
    """Reason and message."""
    truncated: str = ""
    """Why the source gives less than the span, as a failure's reason, when that was accepted: the
    clip ends early, or, without ``path``, no usable frame is left."""
    repeated_dropped: tuple[int, int] | None = None
    """How many frames were repeated and dropped for a constant rate; None: no rate was made."""


@dataclass(frozen=True, slots=True)
class FrameChoice:
    """The frames that a clip of constant rate shows."""

    rate: Fraction
    """Frames per second."""
    times_shown: tuple[int, ...]
    """How often each frame of the source is shown, from the clip's first to the last shown."""
    num_frames: int
    """Frames of the clip."""
    num_dropped: int
    """Frames of the source within the clip's span that are not shown."""

    @property
    def num_repeated(self) -> int:
        """Frames of the clip that show the same frame of the source as the one before."""
        return self.num_frames - sum(times > 0 for times in self.times_shown)


@dataclass(frozen=True, slots=True)
class ClipPlan:
    """A span and the frames that the packet index says lie in it."""

    clip_id: str
    span_pts: tuple[int, int]
    """Half-open, in ticks of the source."""
    first: int
    """Number of its first frame in the video."""
    num_frames: int
    """Frames of the source from the first to the last that it shows."""
    true_span_pts: tuple[int, int]
    """As ``CutResult.source_span_pts``."""
    broken: MediaError | None = None
    """Why the packets of a part of the span cannot give its frames; ``num_frames`` are those before
    that part."""
    refused: MediaError | None = None
    """Why it is not cut although the source is whole."""
    choice: FrameChoice | None = None
    """Which of the frames it shows; None: each once, at its time."""

    @property
    def num_shown(self) -> int:
        """Frames of the finished clip."""
        return self.num_frames if self.choice is None else self.choice.num_frames

    def encoded(self, path: Path | None) -> CutResult:
        """Return the result of a clip that was encoded, whole or up to where the source breaks."""
        reason = self.broken.reason if self.broken else ""
        choice = self.choice
        return CutResult(
            self.clip_id,
            path,
            "encode",
            self.num_shown,
            self.true_span_pts,
            truncated=reason,
            repeated_dropped=(choice.num_repeated, choice.num_dropped) if choice else None,
        )

    def shortened(self, num_frames: int, index: PacketIndex) -> ClipPlan:
        """Return the plan of the first ``num_frames`` of its frames."""
        if not num_frames:
            return dataclasses.replace(self, num_frames=0, true_span_pts=self.span_pts, choice=None)
        behind = self.first + num_frames
        end = int(index.pts[behind]) if behind < len(index.pts) else index.end_pts
        span = (self.true_span_pts[0], min(end, self.true_span_pts[1]))
        return dataclasses.replace(self, num_frames=num_frames, true_span_pts=span, choice=None)

    def broken_by(self, error: MediaError, num_frames: int, index: PacketIndex) -> ClipPlan:
        """Return the plan of the ``num_frames`` frames that come before ``error``."""
        return dataclasses.replace(self.shortened(num_frames, index), broken=error)

    def failed(self, error: MediaError) -> CutResult:
        """Return the result of a clip that could not be cut.

        Raises:
            MemoryError: Not the clip's fault: memory ran out.
        """
        raise_if_out_of_memory(error)
        failure = (error.reason, error.message)
        return CutResult(self.clip_id, None, "encode", 0, self.true_span_pts, failure)


def plan_clip(span: CutSpan, facts: VideoFacts, index: PacketIndex) -> ClipPlan:
    """Return which frames of the video a span holds."""
    start_pts, end_pts = index.span_pts(span.start, span.end, facts.time_base)
    first, behind = (int(number) for number in np.searchsorted(index.pts, (start_pts, end_pts)))
    true_span = (start_pts, end_pts)
    if behind > first:
        last_end = _end_of_last(behind - 1, end_pts, facts, index)
        true_span = (int(index.pts[first]), last_end)
    num_frames = max(0, behind - first)
    plan = ClipPlan(span.clip_id, (start_pts, end_pts), first, num_frames, true_span)
    # The last span reaches behind the last packet, where a cut off file lacks some.
    reach = np.iinfo(np.int64).max if span.end is None else max(end_pts, start_pts + 1)
    lost = index.lost_from(start_pts, reach)
    if lost is None:
        return plan
    good = int(np.searchsorted(index.pts, lost)) - first
    return plan.broken_by(_loss(lost, facts, index), max(0, min(good, num_frames)), index)


def _loss(lost: int, facts: VideoFacts, index: PacketIndex) -> MediaError:
    seconds = float((lost - int(index.pts[0])) * facts.time_base)
    what = index.missing or "packets there are incomplete or missing"
    return MediaError(
        "truncated",
        f"the frames from second {seconds:.3f} on are damaged or not in the file ({what}); copy "
        "the file again, or accept what comes before with --keep_decodable_prefix",
    )


def _end_of_last(last: int, end_pts: int, facts: VideoFacts, index: PacketIndex) -> int:
    """Return the PTS up to which frame number ``last`` is shown in a clip that ends at ``end_pts``.

    As in the source, but a frame that stands still past the span's end is shown to that end only,
    yet no shorter than a usual frame.
    """
    pts = int(index.pts[last])
    following = int(index.pts[last + 1]) if last + 1 < len(index.pts) else index.end_pts
    usual = max(1, round(1 / (facts.average_rate * facts.time_base)))
    return max(pts + 1, min(following, max(end_pts, pts + usual)))
