"""Everything the cut and the look need to know, resolved once before the run."""

from __future__ import annotations

from dataclasses import dataclass

from transforms.media.child_limits import ChildLimits
from transforms.media.clip_form import UNCHANGED, ClipForm
from transforms.media.encode_settings import EncodeSettings
from transforms.media.look import LookSettings


@dataclass(frozen=True)
class CutSettings:
    """How clips are encoded and what is measured on them."""

    encode: EncodeSettings
    look: LookSettings
    num_children: int
    """Children per worker process; machine-wide slots bound how many of them work at once."""
    limits: ChildLimits
    """What each child may use; also those that probe."""
    keep_prefix: float | None = None
    """None: clips that a damaged source breaks off fail; else seconds that they must last to be
    kept."""
    crop_black_bars: bool = False
    """Whether black bars are cut away."""
    form: ClipForm = UNCHANGED
    """Size, rate and count of frames that are asked for."""
