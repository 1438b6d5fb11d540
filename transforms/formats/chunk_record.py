"""``processed_clip_chunks/{rel}_{i}.json``: the commit of a chunk, a group of consecutive clips."""

from __future__ import annotations

from transforms.formats.caption_stats import CaptionStats
from transforms.formats.counters import ClipCounters
from transforms.formats.document import (
    ClipStage,
    Count,
    Document,
    Fingerprint,
    SchemaVersion,
    Seconds,
    Uuid,
    ours,
    upstream,
)
from transforms.formats.scores import ScoreCounts, ScoreName

Captions = dict[Uuid, dict[str, str]]
"""Clip to window (``start_end``, inclusive frame numbers) to caption."""


class FailedClip(Document):
    """A planned clip that could not be made."""

    span_uuid: Uuid = ours()
    """Id of the clip; it has no metadata."""
    stage: str = ours()
    """Where it failed: the failure file is ``failures/{stage}/{span_uuid}.json``."""
    reason: str = ours()
    """Short cause, as in the failure file."""


class TruncatedClip(Document):
    """A planned clip of which a cut off or damaged source gives no good frame."""

    span_uuid: Uuid = ours()
    """Id of the clip; it has no metadata."""
    reason: str = ours()
    """Why, as a failure's reason."""


class ChunkRecord(ClipCounters):
    """Record of a chunk, written when each of its planned clips is committed or failed."""

    video: str = upstream()
    """Where the source lies."""
    clip_chunk_index: Count = upstream()
    """Number of the chunk in its video."""
    total_clip_duration: Seconds = upstream(unit="seconds")
    """Sum of the spans of kept and rejected clips."""
    max_clip_duration: Seconds = upstream(unit="seconds")
    """Longest of these spans, 0 without any."""
    total_prompt_tokens: Count = upstream(unit="tokens")
    """Tokens given to the caption model."""
    total_output_tokens: Count = upstream(unit="tokens")
    """Tokens the caption model wrote."""
    clips: list[Uuid] = upstream()
    """Kept clips in the order of the video."""
    filtered_clips: list[Uuid] = upstream()
    """Rejected clips in the order of the video."""
    all_windows: Captions = upstream()
    """Captions of kept clips; empty without captions."""
    num_caption_windows: Count = upstream(unit="windows", when="captions were made")
    """Windows of kept clips with a caption."""
    caption_quality_stats: CaptionStats = upstream(when="captions were made")
    """What became of the captions of kept clips."""
    all_windows_enhanced_caption: Captions = upstream()
    """Rewritten captions of kept clips; empty without any."""
    num_clips_failed: Count = ours(unit="clips")
    """Failed clips."""
    failed_clips: list[FailedClip] = ours()
    """Failed clips, sorted by id."""
    no_frames: list[Uuid] = ours()
    """Planned clips in whose span the video has no frame; neither made nor failed."""
    source_truncated: list[TruncatedClip] = ours(
        when="keep_decodable_prefix accepted a damaged source"
    )
    """Those of ``no_frames`` that the source breaks off before, sorted by id."""
    score_counts: dict[ScoreName, ScoreCounts] = ours(when="a clip of the chunk has a score")
    """Distribution of each score, those of motion included, over kept and rejected clips."""
    num_bytes: Count = ours(unit="bytes")
    """Size of the mp4s of kept and rejected clips."""
    stages: dict[ClipStage, Fingerprint] = ours()
    """What all clips of the chunk have been through; a chunk that lacks an active stage is open."""
    schema_version: SchemaVersion = ours()
    """Version of this format."""
