"""Reject clips that are black, frozen, blurred, too dark, too bright, or mostly bars."""

from __future__ import annotations

from dataclasses import dataclass

import apache_beam as beam

from transforms.filters.score_limits import LUMA_LIMITS, Limit
from transforms.filters.score_options import ScoreFilters
from transforms.records import Clip, Rejection


def is_bad(score: float, limit: Limit, threshold: float) -> bool:
    """Return whether a score lies on the bad side of a threshold."""
    return score < threshold if limit.bad == "below" else score >= threshold


def bad_score(clip: Clip, config: ScoreFilters) -> Rejection | None:
    """Return why an enabled filter turns the clip down, the first one; None when none does."""
    for limit in LUMA_LIMITS:
        score = clip.score(limit.score)
        if limit.filter not in config.enabled or score is None:
            continue
        threshold: float = getattr(config, limit.option)
        if is_bad(score, limit, threshold):
            return Rejection(filter=limit.filter, score=score, threshold=threshold)
    return None


def reject_bad_scores(clip: Clip, config: ScoreFilters) -> Clip:
    """Return the clip, turned down when an enabled filter says so; an earlier outcome stands."""
    rejection = bad_score(clip, config)
    return clip if rejection is None else clip.rejected(rejection)


@dataclass
class FilterScores(beam.PTransform):
    """Reject clips by the scores that the look measured on their pixels.

    Input: clips, in any order. Output: the same clips, one for one; those on the bad side of a
    threshold carry a rejection with score and threshold. A clip without a score passes. Compares
    numbers only.
    """

    config: ScoreFilters

    def expand(self, clips: beam.PCollection[Clip]) -> beam.PCollection[Clip]:
        """Attach the filters."""
        return clips | beam.Map(reject_bad_scores, self.config).with_output_types(Clip)
