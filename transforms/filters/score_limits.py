"""The scores that filters decide by: which side is bad, and how their distribution is counted.

Without Beam and FFmpeg: options, formats and documentation read this.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Bad = Literal["below", "at_least"]


@dataclass(frozen=True, slots=True)
class Limit:
    """One comparison: a clip whose score is on the bad side of the threshold is rejected."""

    score: str
    """Name of the score, as in a clip's record."""
    filter: str
    """Filter that decides by it; it names the rejection and its counter."""
    bad: Bad
    """``below``: scores < threshold are rejected; ``at_least``: scores >= threshold are."""
    option: str
    """Name of the option with the threshold."""


LUMA_LIMITS = (
    Limit("black_share", "black", "at_least", "black_share_threshold"),
    Limit("frozen_share", "frozen", "at_least", "frozen_share_threshold"),
    Limit("sharpness", "sharpness", "below", "sharpness_threshold"),
    Limit("brightness", "brightness", "below", "brightness_min_threshold"),
    Limit("brightness", "brightness", "at_least", "brightness_max_threshold"),
    Limit("picture_share", "letterbox", "below", "picture_share_threshold"),
)
"""In the order in which they are decided: the first rejection stands."""
MOTION_LIMITS = (
    Limit("motion_global_mean", "motion", "below", "motion_global_mean_threshold"),
    Limit("motion_per_patch_min_256", "motion", "below", "motion_per_patch_min_256_threshold"),
)
LIMITS = MOTION_LIMITS + LUMA_LIMITS
LUMA_FILTERS = tuple(dict.fromkeys(limit.filter for limit in LUMA_LIMITS))

_SHARES = (0.0, 0.001, 0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)
_DECADES = (0.0, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0)
_LEVELS = (
    *(0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5),
    *(0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.98),
)
EDGES: dict[str, tuple[float, ...]] = {
    "motion_global_mean": (
        *(0.0, 0.0001, 0.0002, 0.0005, 0.00098),
        *(0.002, 0.005, 0.01, 0.02, 0.05),
    ),
    "motion_per_patch_min_256": (
        *(0.0, 0.000001, 0.00001, 0.0001, 0.0002, 0.0005),
        *(0.001, 0.002, 0.005, 0.01),
    ),
    "black_share": _SHARES,
    "frozen_share": _SHARES,
    "sharpness": _DECADES,
    "brightness": _LEVELS,
    "picture_share": (0.0, 0.3, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.98, 1.0),
}
"""Lower edges of a score's bins. Bin i holds edges[i] <= score < edges[i + 1]; the last bin has no
upper end. So the count on either side of an edge is exact. All scores are >= 0. An edge that is
added or moved needs a new ``schema_version``: stored counts must have these edges."""
