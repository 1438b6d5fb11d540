"""Scores of a clip's pixels in its metadata, and their distributions in records and summary."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from transforms.formats.document import Count, Document, ours

Share = Annotated[float, Field(ge=0, le=1)]
Size = Annotated[float, Field(ge=0)]
ScoreName = Literal[
    "motion_global_mean",
    "motion_per_patch_min_256",
    "black_share",
    "frozen_share",
    "sharpness",
    "brightness",
    "picture_share",
]
"""Scores that are counted; those of motion are fields of ``motion_score`` without ``motion_``."""


class ClipScores(Document):
    """What the look measured on the clip's pixels; docs/scores.md defines each."""

    black_share: Share = ours(unit="share of frames", when="black_filter is on")
    """Black frames / frames."""
    frozen_share: Share = ours(
        unit="share of frames", when="frozen_filter is on and the clip has two frames"
    )
    """Frames that nearly equal the one before / frames that have one before."""
    sharpness: float = ours(unit="luma squared", when="sharpness_filter is on", ge=0)
    """Variance of the Laplacian at 180 lines, median over two frames per second."""
    brightness: Share = ours(unit="share of white", when="brightness_filter is on")
    """Mean luma: 0 is black, 1 is white."""
    picture_share: Share = ours(unit="share of the frame", when="letterbox_filter is on")
    """Area of ``picture_box`` / area of the frame."""
    picture_box: tuple[Count, Count, Count, Count] = ours(
        unit="pixels", when="letterbox_filter is on"
    )
    """Left, top, width and height of what black bars leave of the frame; all 0 when all is
    black."""


class ScoreCounts(Document):
    """Distribution of one score over kept and rejected clips."""

    min: Size = ours()
    """Smallest score."""
    max: Size = ours()
    """Largest score."""
    counts: list[Count] = ours(unit="clips")
    """Clips per bin; the summary's ``scores`` says which bins."""


class ScoreSummary(ScoreCounts):
    """Distribution of one score over all clips of the output that have it, kept and rejected."""

    num_clips: Count = ours(unit="clips")
    """Clips with this score."""
    edges: list[Size] = ours()
    """Lower edges of the bins; a bin ends before the next edge, the last one never."""
    kept_by_threshold: dict[str, list[Share]] = ours()
    """Option to one share per edge: what that option would keep of these clips if it were set to
    that edge, all other filters left aside."""
