"""Reject clips that hardly move."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import apache_beam as beam

from transforms.records import Clip, Rejection
from transforms.section import Section, ignored, option


class MotionFilter(Section):
    """Scores and filter by H.264 motion vectors (contract §1.8)."""

    title: ClassVar[str] = "Motion filter"

    motion_filter: Literal["disable", "enable", "score-only"] = "disable"
    """``enable`` moves small-motion clips to filtered_clips, ``score-only`` keeps them."""
    motion_global_mean_threshold: float = 0.00098
    """A clip is rejected when the mean vector length, as share of height + width, is below this."""
    motion_per_patch_min_256_threshold: float = 0.000001
    """A clip is rejected when its stillest patch of 256 pixels is below this."""
    motion_decode_target_fps: float = option(2.0, unit="frames per second", gt=0)
    """Rate of the frames whose vectors are read."""
    motion_decode_target_duration_ratio: float = option(0.5, gt=0, le=1)
    """Share of the clip that is looked at."""
    motion_decode_cpus_per_worker: float = ignored(2.0, instead="--direct_num_workers")
    """Upstream's Ray setting."""
    motion_score_batch_size: int = ignored(64, instead="nothing: scores need no batches")
    """Upstream's Ray setting."""
    motion_score_gpus_per_worker: float = ignored(0.5, instead="nothing: scores need no GPU")
    """Upstream's Ray setting."""


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
