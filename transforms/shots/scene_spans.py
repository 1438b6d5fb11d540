"""From scenes in frames to spans in time, with ids and with what is left out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from transforms.records import Span, VideoFacts
from transforms.shots.scenes import Scene, SceneLimits, scene_pieces
from transforms.shots.spans import clip_uuid

Piece = tuple[int, int, str]
"""Frames ``[start, end)`` and why they are in no clip; empty for a clip."""


def video_pieces(
    scenes: Sequence[Scene], limits: SceneLimits, *, num_frames: int, limit_clips: int
) -> list[Piece]:
    """Return all frames of the video in order, divided into clips and what is in none.

    Args:
        scenes: Increasing, disjoint.
        limits: What a scene must be.
        num_frames: Of the video.
        limit_clips: Most clips, 0 = all; what comes behind them is ``limit_clips``.
    """
    pieces: list[Piece] = []
    behind = num_clips = 0
    for start, end in scenes:
        if start > behind:
            pieces.append((behind, start, "transition"))
        for piece in scene_pieces((start, end), limits):
            if limit_clips and num_clips == limit_clips:
                return [*pieces, (piece[0], num_frames, "limit_clips")]
            pieces.append(piece)
            num_clips += not piece[2]
        behind = end
    if behind < num_frames:
        pieces.append((behind, num_frames, "transition"))
    return pieces


def spans_of(
    pieces: Iterable[Piece], facts: VideoFacts, pts: NDArray[np.int64], *, source_id: str
) -> tuple[Span, ...]:
    """Return the clips among the pieces (contract §1.5: ids from frame numbers).

    Args:
        pieces: As ``video_pieces`` gives them.
        facts: Of the video.
        pts: PTS of every frame in ticks, increasing; shape ``(N,)``.
        source_id: What ids are made from.
    """
    rate = float(facts.average_rate)
    spans = []
    for start, end, why_not in pieces:
        if why_not:
            continue
        last = end >= len(pts)
        spans.append(
            Span(
                clip_id=clip_uuid(source_id, start, end),
                start_seconds=start / rate,
                end_seconds=end / rate,
                start=_exact(int(pts[start]), pts, facts),
                end=None if last else _exact(int(pts[end]), pts, facts),
            )
        )
    return tuple(spans)


def uncovered_seconds(
    pieces: Iterable[Piece], facts: VideoFacts
) -> tuple[tuple[float, float, str], ...]:
    """Return what is in no clip in seconds, neighbours of one reason joined."""
    rate = float(facts.average_rate)
    joined: list[Piece] = []
    for start, end, why_not in pieces:
        if joined and joined[-1][2] == why_not and joined[-1][1] == start:
            joined[-1] = (joined[-1][0], end, why_not)
        else:
            joined.append((start, end, why_not))
    return tuple((start / rate, end / rate, why_not) for start, end, why_not in joined if why_not)


def _exact(value: int, pts: NDArray[np.int64], facts: VideoFacts) -> Fraction:
    return (value - int(pts[0])) * facts.time_base
