"""Options of where videos are cut; apart from the stages, so that ``--help`` needs no Beam."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import field_validator

from transforms.section import Section, option


class Splitting(Section):
    """Where videos are cut."""

    title: ClassVar[str] = "Splitting"

    splitting_algorithm: Literal["fixed-stride", "transnetv2"] = "fixed-stride"
    """How spans are found; ``fixed-stride`` cuts clips of one length."""
    fixed_stride_split_duration: float = option(10, unit="seconds", gt=0)
    """Length of a clip, and the step from one clip to the next."""
    fixed_stride_min_clip_length_s: float = option(2.0, unit="seconds", ge=0)
    """A shorter last piece is dropped."""
    limit_clips: int = option(0, unit="clips", ge=0)
    """Most clips per video (its first ones), 0 = all."""

    @field_validator("splitting_algorithm", mode="before")
    @classmethod
    def _accept_underscore(cls, value: object) -> object:
        return value.replace("_", "-") if isinstance(value, str) else value

    def not_built(self) -> str | None:
        """Return why the splitting algorithm cannot run yet."""
        if self.splitting_algorithm == "transnetv2":
            return (
                "splitting_algorithm=transnetv2 is not built yet; "
                "use splitting_algorithm=fixed-stride"
            )
        return None
