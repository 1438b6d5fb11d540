"""Ids and times of planned clips."""

from __future__ import annotations

import uuid

import numpy as np

from transforms.records import VideoFacts


def clip_uuid(source_id: str, start: float | int, end: float | int) -> str:
    """Return upstream's clip id: uuid5 of path, start, end as Python prints them (contract §1.5).

    Example:
        >>> clip_uuid("s3://bucket/raw/sample.mp4", 0.0, 10.0)
        'd14ff621-a274-5cef-93b6-62b8016d6976'
    """
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{source_id}_{start}_{end}"))


def upstream_end_seconds(facts: VideoFacts) -> float:
    """Return the end of the last span as upstream computes it, in seconds after the first PTS.

    ``(t + dur) - t`` in float64 with a float32 ``t``: its last digits stand in the last clip's id.
    """
    duration = facts.num_frames / float(facts.average_rate)
    first = float(np.float32(float(facts.first_pts * facts.time_base)))
    return (first + duration) - first
