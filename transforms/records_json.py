"""Records as JSON values and back."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from typing import Any

from transforms.records import Span, Video, VideoFacts


def fraction_text(value: Fraction) -> str:
    """Return a fraction as ``numerator/denominator``."""
    return f"{value.numerator}/{value.denominator}"


def facts_to_json(facts: VideoFacts) -> dict[str, Any]:
    """Return a video's facts as JSON values; fractions as text, tuples as lists."""
    values = dataclasses.asdict(facts)
    return {name: _plain(value) for name, value in values.items()}


def facts_from_json(values: dict[str, Any]) -> VideoFacts:
    """Return the facts that ``facts_to_json`` wrote."""
    read = dict(values)
    for name in ("sample_aspect_ratio", "time_base", "average_rate"):
        read[name] = Fraction(read[name])
    for name in ("color", "num_streams", "notes"):
        read[name] = tuple(read[name])
    return VideoFacts(**read)


def video_to_json(video: Video) -> dict[str, Any]:
    """Return a video as JSON values."""
    return dataclasses.asdict(video)


def span_to_json(span: Span) -> dict[str, Any]:
    """Return a planned clip as JSON values."""
    return {
        "clip_id": span.clip_id,
        "span": [span.start_seconds, span.end_seconds],
        "start": fraction_text(span.start),
        "end": None if span.end is None else fraction_text(span.end),
    }


def span_from_json(values: dict[str, Any]) -> Span:
    """Return the planned clip that ``span_to_json`` wrote."""
    start_seconds, end_seconds = values["span"]
    return Span(
        clip_id=values["clip_id"],
        start_seconds=start_seconds,
        end_seconds=end_seconds,
        start=Fraction(values["start"]),
        end=None if values["end"] is None else Fraction(values["end"]),
    )


def _plain(value: Any) -> Any:
    if isinstance(value, Fraction):
        return fraction_text(value)
    return list(value) if isinstance(value, tuple) else value
