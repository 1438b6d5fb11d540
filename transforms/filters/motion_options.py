"""Options of the motion filter; apart from the stage, so that ``--help`` needs no Beam."""

from __future__ import annotations

from typing import ClassVar, Literal

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
