"""What is to be cut, frame by frame, before anything is decoded; and what became of it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

import numpy as np

from transforms.errors import MediaError
from transforms.media.out_of_memory import raise_if_out_of_memory
from transforms.media.packet_index import PacketIndex
from transforms.records import VideoFacts


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
    made_by: Literal["encode", "passthrough"]
    num_frames: int
    source_span_pts: tuple[int, int]
    """First frame's PTS and the PTS at which the last frame ends, in ticks of the source; the
    span's own bounds when no frame lies in it."""
    failure: tuple[str, str] | None = None
    """Reason and message."""


@dataclass(frozen=True, slots=True)
class ClipPlan:
    """A span and the frames that the packet index says lie in it."""

    clip_id: str
    span_pts: tuple[int, int]
    """Half-open, in ticks of the source."""
    first: int
    """Number of its first frame in the video."""
    num_frames: int
    true_span_pts: tuple[int, int]
    """As ``CutResult.source_span_pts``."""

    def encoded(self, path: Path | None) -> CutResult:
        """Return the result of a clip that was encoded whole."""
        return CutResult(self.clip_id, path, "encode", self.num_frames, self.true_span_pts)

    def shortened(self, num_frames: int, index: PacketIndex) -> ClipPlan:
        """Return the plan of the first ``num_frames`` of its frames."""
        if not num_frames:
            return dataclasses.replace(self, num_frames=0, true_span_pts=self.span_pts)
        behind = self.first + num_frames
        end = int(index.pts[behind]) if behind < len(index.pts) else index.end_pts
        span = (self.true_span_pts[0], end)
        return dataclasses.replace(self, num_frames=num_frames, true_span_pts=span)

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
    return ClipPlan(span.clip_id, (start_pts, end_pts), first, max(0, behind - first), true_span)


def _end_of_last(last: int, end_pts: int, facts: VideoFacts, index: PacketIndex) -> int:
    """Return the PTS up to which frame number ``last`` is shown in a clip that ends at ``end_pts``.

    As in the source, but a frame that stands still past the span's end is shown to that end only,
    yet no shorter than a usual frame.
    """
    pts = int(index.pts[last])
    following = int(index.pts[last + 1]) if last + 1 < len(index.pts) else index.end_pts
    usual = max(1, round(1 / (facts.average_rate * facts.time_base)))
    return max(pts + 1, min(following, max(end_pts, pts + usual)))
