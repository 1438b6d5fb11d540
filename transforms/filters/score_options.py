"""Options of the scores that the look measures on a clip's pixels."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import model_validator

from transforms.filters.score_limits import LUMA_FILTERS
from transforms.section import Section, option

Switch = Literal["disable", "enable", "score-only"]


class ScoreFilters(Section):
    """Scores of the finished clip's pixels, and filters by them; docs/scores.md explains each."""

    title: ClassVar[str] = "Score filters"

    black_filter: Switch = "disable"
    """``enable`` moves clips with many black frames to filtered_clips, ``score-only`` keeps them
    and stores ``black_share``."""
    black_share_threshold: float = option(0.5, unit="share of frames", gt=0, le=1)
    """A clip is rejected when at least this share of its frames is black."""
    frozen_filter: Switch = "disable"
    """The same by ``frozen_share``: frames that equal the one before, or nearly."""
    frozen_share_threshold: float = option(0.9, unit="share of frames", gt=0, le=1)
    """A clip is rejected when at least this share of its frames is frozen."""
    sharpness_filter: Switch = "disable"
    """The same by ``sharpness``: variance of the Laplacian at 180 lines."""
    sharpness_threshold: float = option(20.0, unit="luma squared", ge=0)
    """A clip is rejected when it is less sharp than this."""
    brightness_filter: Switch = "disable"
    """The same by ``brightness``: mean luma, 0 is black and 1 is white."""
    brightness_min_threshold: float = option(0.05, unit="share of white", ge=0, le=1)
    """A clip is rejected when it is darker than this."""
    brightness_max_threshold: float = option(0.95, unit="share of white", gt=0, le=1)
    """A clip is rejected when it is at least this bright."""
    letterbox_filter: Switch = "disable"
    """The same by ``picture_share``: the part of the frame inside black bars."""
    picture_share_threshold: float = option(0.9, unit="share of the frame", ge=0, le=1)
    """A clip is rejected when its picture takes up less than this share of the frame."""

    @model_validator(mode="after")
    def _room_between(self) -> ScoreFilters:
        if self.brightness_min_threshold >= self.brightness_max_threshold:
            raise ValueError(
                f"brightness_min_threshold {self.brightness_min_threshold:g} leaves nothing below "
                f"brightness_max_threshold {self.brightness_max_threshold:g}; "
                "the first must be smaller"
            )
        return self

    def switch(self, name: str) -> Switch:
        """Return the setting of the filter ``name``, such as ``black``."""
        value: Switch = getattr(self, f"{name}_filter")
        return value

    @property
    def measured(self) -> tuple[str, ...]:
        """The scores to measure, by the names of their filters."""
        return tuple(name for name in LUMA_FILTERS if self.switch(name) != "disable")

    @property
    def enabled(self) -> tuple[str, ...]:
        """The filters that reject."""
        return tuple(name for name in LUMA_FILTERS if self.switch(name) == "enable")
