"""Options of where videos are cut; apart from the stages, so that ``--help`` needs no Beam."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import field_validator

from transforms.section import Section, option


class Splitting(Section):
    """Where videos are cut."""

    title: ClassVar[str] = "Splitting"

    splitting_algorithm: Literal["fixed-stride", "transnetv2", "content", "hybrid"] = "hybrid"
    """How clips are found: ``transnetv2`` cuts where a neural network sees shots change (needs
    torch: the extra models); ``hybrid`` asks the same network, and tells cuts from flashes by how
    much pictures change; ``content`` cuts where pictures change much from one frame to the next,
    needs no model, and misses gradual changes; ``fixed-stride`` cuts clips of one length. Not
    given, it is what the output was begun with, else content where torch or weights are missing."""
    fixed_stride_split_duration: float = option(10, unit="seconds", gt=0)
    """Length of a clip, and the step from one clip to the next."""
    fixed_stride_min_clip_length_s: float = option(2.0, unit="seconds", ge=0)
    """A shorter last piece is dropped. Not given, and with a stride of a day or more over the
    ``clips`` folder of an earlier output, 0: no clip of it is lost."""
    limit_clips: int = option(0, unit="clips", ge=0)
    """Most clips per video (its first ones), 0 = all."""

    @field_validator("splitting_algorithm", mode="before")
    @classmethod
    def _accept_underscore(cls, value: object) -> object:
        return value.replace("_", "-") if isinstance(value, str) else value

    @property
    def detects_shots(self) -> bool:
        """Whether videos are decoded to find where to cut."""
        return self.splitting_algorithm != "fixed-stride"
