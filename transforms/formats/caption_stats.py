"""Files about captions: ``caption_quality_stats.json`` and ``v0/all_window_captions.json``."""

from __future__ import annotations

from pydantic import ConfigDict

from transforms.formats.document import Count, Document, SchemaVersion, Uuid, ours, upstream


class StatusCounts(Document):
    """Windows by what became of their caption."""

    success: Count = upstream(unit="windows")
    """A whole caption."""
    truncated: Count = upstream(unit="windows")
    """A caption that ends at the limit of tokens."""
    blocked: Count = upstream(unit="windows")
    """The model's provider refused."""
    error: Count = upstream(unit="windows")
    """No caption, after all attempts."""
    skipped: Count = upstream(unit="windows")
    """Not asked."""


class ReasonCounts(Document):
    """Windows without a caption by reason."""

    exception: Count = upstream(unit="windows")
    """An error."""
    timeout: Count = upstream(unit="windows")
    """No answer in time."""


class FlagCounts(Document):
    """Windows whose caption is odd."""

    flag_length_outlier: Count = upstream(unit="windows")
    """Fewer than 4 words or more than 1024."""
    flag_repetition: Count = upstream(unit="windows")
    """The same over and over."""
    flag_near_duplicate: Count = upstream(unit="windows")
    """Nearly the caption of a neighbouring window."""


class OwnFlagCounts(Document):
    """Windows whose caption has a flag that only this program sets."""

    flag_empty: Count = ours(unit="windows")
    """Not one word."""
    flag_truncated: Count = ours(unit="windows")
    """Ends at the limit of tokens."""
    flag_refusal: Count = ours(unit="windows")
    """Begins with an excuse."""
    flag_prompt_echo: Count = ours(unit="windows")
    """Repeats its prompt."""
    flag_wrong_language: Count = ours(unit="windows")
    """In other letters than those of ``captioning_language``."""


class CaptionStats(Document):
    """What became of the captions of some windows."""

    caption_windows_checked: Count = upstream(unit="windows")
    """Windows that were asked about."""
    caption_status_counts: StatusCounts = upstream()
    """What became of them."""
    caption_failure_reason_counts: ReasonCounts = upstream()
    """Why some have no caption."""
    caption_quality_flags_evaluated_count: Count = upstream(unit="windows")
    """Windows with a caption whose flags were set; without ``caption_quality_flags_enabled`` none
    is."""
    caption_quality_flag_counts: FlagCounts = upstream()
    """How many have each flag."""
    own_flag_counts: OwnFlagCounts = ours()
    """How many have each flag of ours."""
    empty_caption_count: Count = upstream(unit="windows")
    """Captions without text."""
    sentinel_caption_count: Count = upstream(unit="windows")
    """Captions that say ``Unknown caption``."""


class CaptionQuality(CaptionStats):
    """What became of all captions of an output."""

    pipeline: str = upstream()
    """``split_video_pipeline``; ``recaption`` for captions made anew."""
    schema_version: SchemaVersion = ours()
    """Version of this format; upstream's is also 1."""


class AllWindowCaptions(Document):
    """Every caption of an output: video to clip to window to text."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "x-other-names": [
                "per processed video",
                "Under the video's relative path: clip to window (``first_last``, inclusive frame "
                "numbers) to caption; empty without any.",
            ]
        },
    )
    __pydantic_extra__: dict[str, dict[Uuid, dict[str, str]]]
