"""Cut every video into clips of one length."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import apache_beam as beam

from transforms.errors import MediaError
from transforms.failures import skip_failed
from transforms.records import ProbedVideo, Span, SplitVideo
from transforms.run_context import RunContext
from transforms.shots.spans import clip_uuid, upstream_end_seconds
from transforms.shots.splitting import Splitting

MAX_PIECES = 100_000
"""Most pieces of one video: more than a day at one second each. Damaged headers state years."""


@dataclass(frozen=True)
class StridePiece:
    """One step of the stride, before ids are made."""

    start_seconds: float
    end_seconds: float
    start: Fraction
    end: Fraction | None
    """None: the piece ends where the video ends."""


def stride_pieces(end_seconds: float, *, length_seconds: float) -> Iterator[StridePiece]:
    """Yield the grid ``[0, length), [length, 2 * length), ...`` up to ``end_seconds``.

    The float times grow by addition as upstream's do, because ids are printed from them; the
    exact times are multiples of the length.

    Example:
        >>> [piece.end_seconds for piece in stride_pieces(25, length_seconds=10)]
        [10.0, 20.0, 25]
    """
    start, number, length = 0.0, 0, Fraction(length_seconds)
    while start < end_seconds:
        end = min(start + length_seconds, end_seconds)
        exact_end = None if end == end_seconds else (number + 1) * length
        yield StridePiece(start, end, number * length, exact_end)
        start += length_seconds
        number += 1


def split_fixed_stride(probed: ProbedVideo, config: Splitting) -> SplitVideo:
    """Return the video with spans of one length (contract §1.5, golden tables in the tests).

    Raises:
        MediaError: ``no_duration``: unknown or zero; ``too_long``: more than ``MAX_PIECES``.
    """
    end_seconds = upstream_end_seconds(probed.facts)
    if end_seconds <= 0:
        raise MediaError(
            "no_duration",
            f"{probed.video.uri}: duration x frame rate gives no frame "
            f"({probed.facts.duration_seconds} s at {float(probed.facts.average_rate)} fps)",
        )
    if end_seconds > MAX_PIECES * config.fixed_stride_split_duration:
        raise MediaError(
            "too_long",
            f"{probed.video.uri}: its header states {probed.facts.duration_seconds} s, which is "
            f"more than {MAX_PIECES} clips of {config.fixed_stride_split_duration} s; if that is "
            "right, raise --fixed_stride_split_duration or divide the file, else mend its header",
        )
    spans: list[Span] = []
    uncovered: list[tuple[float, float, str]] = []
    for piece in stride_pieces(end_seconds, length_seconds=config.fixed_stride_split_duration):
        times = (piece.start_seconds, piece.end_seconds)
        if piece.end_seconds - piece.start_seconds < config.fixed_stride_min_clip_length_s:
            uncovered.append((*times, "shorter_than_min_clip_length"))
        elif config.limit_clips and len(spans) >= config.limit_clips:
            uncovered.append((piece.start_seconds, end_seconds, "limit_clips"))
            break
        else:
            clip_id = clip_uuid(probed.video.source_id, *times)
            spans.append(Span(clip_id, *times, piece.start, piece.end))
    return SplitVideo(probed.video, probed.facts, tuple(spans), tuple(uncovered))


@dataclass
class SplitFixedStride(beam.PTransform):
    """Give every video spans of one length.

    Input: probed videos. Output: one SplitVideo each, possibly without spans (too short); a video
    without a duration is written to ``failures/split``. Reads nothing.
    """

    config: Splitting
    context: RunContext

    def expand(self, videos: beam.PCollection[ProbedVideo]) -> beam.PCollection[SplitVideo]:
        """Attach the split."""
        config = self.config
        return videos | beam.FlatMap(
            skip_failed("split", lambda probed: split_fixed_stride(probed, config), self.context)
        ).with_output_types(SplitVideo)
