"""What the steps of ``recaption`` need to know beside the run."""

from __future__ import annotations

from dataclasses import dataclass

from transforms.media.child_limits import ChildLimits
from transforms.media.look_settings import LookSettings


@dataclass(frozen=True)
class RecaptionSettings:
    """Plain values of the options; small and picklable."""

    look: LookSettings
    """How clips are divided into windows, and the frames that the engine is to see."""
    num_children: int
    """Processes of one worker that look at clips."""
    limits: ChildLimits
    """What each of them may use."""
    limit: int = 0
    """Most clips, 0: all."""
    all_captions: bool = True
    """Whether the file with the captions of all windows is written."""
