"""``summary.json``: everything ever processed into an output."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict

from transforms.formats.chunk_record import FailedClip
from transforms.formats.counters import ClipCounters
from transforms.formats.document import (
    Count,
    Document,
    SchemaVersion,
    Seconds,
    Uuid,
    ours,
    upstream,
)
from transforms.formats.run_record import AutoChoice
from transforms.formats.scores import ScoreName, ScoreSummary


class VideoSummary(ClipCounters):
    """A video that has a record."""

    source_video: str = upstream()
    """Where the video lies."""
    video_uuid: Uuid = upstream()
    """Id of the video."""
    num_clip_chunks: Count = upstream(unit="chunks")
    """Chunk records found."""
    num_total_clips: Count = upstream(unit="clips")
    """Planned clips."""
    clips: list[Uuid] = upstream()
    """Kept clips."""
    filtered_clips: list[Uuid] = upstream()
    """Rejected clips."""
    failed_clips: list[FailedClip] = ours()
    """Failed clips."""
    duration: Seconds = ours(unit="seconds")
    """Duration of the video."""
    num_bytes: Count = ours(unit="bytes")
    """Size of the video."""
    total_clip_duration: Seconds = ours(unit="seconds")
    """Sum of the spans of kept and rejected clips."""
    max_clip_duration: Seconds = ours(unit="seconds")
    """Longest of these spans."""
    total_prompt_tokens: Count = ours(unit="tokens")
    """Tokens given to the caption model."""
    total_output_tokens: Count = ours(unit="tokens")
    """Tokens the caption model wrote."""


class UnprocessedVideo(Document):
    """A selected video that has no record, because it failed."""

    source_video: str = upstream()
    """Where the video lies."""
    processed: Literal[False] = upstream()
    """Always false."""


class Summary(Document):
    """Totals over all videos ever processed into the output, and one entry per video.

    Beside the fields below, every video has its entry under its relative path at the top level, as
    upstream writes it; a path that equals the name of a field stands under ``videos`` only.
    """

    model_config = ConfigDict(
        extra="allow", json_schema_extra={"x-other-names": ["per video", "The video's entry."]}
    )
    __pydantic_extra__: dict[str, VideoSummary | UnprocessedVideo]

    num_input_videos: Count = upstream(unit="videos")
    """Videos that the last run found in the input."""
    num_input_videos_selected: Count = upstream(unit="videos")
    """Videos that the last run worked on."""
    num_processed_videos: Count = upstream(unit="videos")
    """Files in ``processed_videos/``."""
    embedding_algorithm: str = upstream()
    """Option of that name in the last run; ``resolved`` says whether embeddings were made."""
    total_video_duration: Seconds = upstream(unit="seconds")
    """Of all processed videos."""
    total_clip_duration: Seconds = upstream(unit="seconds")
    """Of all kept and rejected clips."""
    max_clip_duration: Seconds = upstream(unit="seconds")
    """Longest clip."""
    pipeline_run_time: Seconds = upstream(unit="minutes")
    """How long the last run took."""
    total_video_bytes: Count = upstream(unit="bytes")
    """Size of all processed videos; upstream counts those of the last run only."""
    num_remuxed_videos: Count = upstream(unit="videos")
    """Always 0: no video is remuxed before it is cut."""
    total_prompt_tokens: Count = upstream(unit="tokens")
    """Tokens given to the caption model."""
    total_output_tokens: Count = upstream(unit="tokens")
    """Tokens the caption model wrote."""
    output_tokens_per_s: float = upstream(unit="tokens per second", when="it is not 0")
    """As upstream counts: ``total_output_tokens`` of all runs over the time of the last run. Behind
    a run that only added to an output that is too much; the console tells that run's own."""
    total_num_clips_filtered_by_motion: Count = upstream(unit="clips")
    """Rejected by the motion filter."""
    total_num_clips_filtered_by_aesthetic: Count = upstream(unit="clips")
    """Rejected by the aesthetic filter."""
    total_num_clips_filtered_by_qwen_classifier: Count = upstream(unit="clips")
    """Rejected by the video classifier."""
    total_num_clips_filtered_by_qwen_semantic: Count = upstream(unit="clips")
    """Rejected by the semantic filter."""
    total_num_clips_filtered_by_artificial_text: Count = upstream(unit="clips")
    """Rejected for artificial text."""
    total_num_clips_passed: Count = upstream(unit="clips")
    """Kept clips."""
    total_num_clips_transcoded: Count = upstream(unit="clips")
    """Kept and rejected clips."""
    total_num_clips_with_embeddings: Count = upstream(unit="clips")
    """Kept clips with an embedding."""
    total_num_clips_with_caption: Count = upstream(unit="clips")
    """Kept clips with a caption."""
    total_num_clips_with_webp: Count = upstream(unit="clips")
    """Kept clips with previews."""
    total_num_clips_filtered_by_black: Count = ours(unit="clips", when="it is not 0")
    """Rejected because too many frames are black."""
    total_num_clips_filtered_by_frozen: Count = ours(unit="clips", when="it is not 0")
    """Rejected because too many frames equal the one before."""
    total_num_clips_filtered_by_sharpness: Count = ours(unit="clips", when="it is not 0")
    """Rejected because they are blurred."""
    total_num_clips_filtered_by_brightness: Count = ours(unit="clips", when="it is not 0")
    """Rejected because they are too dark or too bright."""
    total_num_clips_filtered_by_letterbox: Count = ours(unit="clips", when="it is not 0")
    """Rejected because black bars take up too much of the frame."""
    total_num_clips_failed: Count = ours(unit="clips")
    """Failed clips."""
    scores: dict[ScoreName, ScoreSummary] = ours(when="a clip has a score")
    """Distribution of each score, and what each threshold would keep."""
    resolved: dict[str, AutoChoice] = ours()
    """What became of options that are ``auto`` in the last run."""
    videos: dict[str, VideoSummary | UnprocessedVideo] = ours()
    """Every video by its relative path."""
    schema_version: SchemaVersion = ours()
    """Version of this format."""
