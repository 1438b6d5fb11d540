"""Reject clips that hardly move."""

from __future__ import annotations

from dataclasses import dataclass

import apache_beam as beam

from transforms.filters.motion_options import MotionFilter
from transforms.records import Clip, Rejection


def small_motion(clip: Clip, config: MotionFilter) -> Rejection | None:
    """Return why the clip moves too little, None when it moves enough or has no motion data."""
    limits = (
        ("motion_global_mean", config.motion_global_mean_threshold),
        ("motion_per_patch_min_256", config.motion_per_patch_min_256_threshold),
    )
    for name, threshold in limits:
        score = clip.score(name)
        if score is not None and score < threshold:
            return Rejection(filter="motion", score=score, threshold=threshold)
    return None


def reject_small_motion(clip: Clip, config: MotionFilter) -> Clip:
    """Return the clip, turned down when the filter is enabled and the clip hardly moves."""
    if config.motion_filter != "enable":
        return clip
    rejection = small_motion(clip, config)
    return clip if rejection is None else clip.rejected(rejection)


@dataclass
class FilterMotion(beam.PTransform):
    """Reject clips that hardly move.

    Input: clips, in any order. Output: the same clips, one for one; those below a threshold carry
    a rejection with score and threshold. A clip without motion data passes: its note says why
    there is none. Compares numbers only.
    """

    config: MotionFilter

    def expand(self, clips: beam.PCollection[Clip]) -> beam.PCollection[Clip]:
        """Attach the filter."""
        return clips | beam.Map(reject_small_motion, self.config).with_output_types(Clip)
