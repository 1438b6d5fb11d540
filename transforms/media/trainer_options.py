"""The options that give clips the form a trainer wants."""

from __future__ import annotations

from typing import ClassVar

from pydantic import model_validator

from transforms.media.clip_form import ClipForm, Resize
from transforms.section import Section, option


class TrainerClips(Section):
    """Size, rate and count of frames; any of them turns passing files through off."""

    title: ClassVar[str] = "Trainer-ready clips"

    clip_width: int | None = option(None, unit="pixels", ge=16, le=16384)
    """Width of the clips, even. Without ``clip_height`` the height follows from the source's aspect
    ratio. Pixels become square."""
    clip_height: int | None = option(None, unit="pixels", ge=16, le=16384)
    """Height of the clips, even. Without ``clip_width`` the width follows from the source's aspect
    ratio."""
    clip_resize: Resize = option("scale")
    """How a picture of another shape comes to have width and height: ``scale`` stretches it,
    ``crop`` fills the size and cuts off what stands out at both sides, ``pad`` fits it in and adds
    black bars."""

    @model_validator(mode="after")
    def _sizes_fit(self) -> TrainerClips:
        for name, value in (("clip_width", self.clip_width), ("clip_height", self.clip_height)):
            if value is not None and value % 2:
                raise ValueError(
                    f"{name} must be even, 4:2:0 video has one colour sample per 2x2 pixels; got "
                    f"{value}, take {value - 1} or {value + 1}"
                )
        if self.clip_resize != "scale" and not (self.clip_width and self.clip_height):
            raise ValueError(
                f"clip_resize {self.clip_resize} needs clip_width and clip_height: with one of "
                "them alone the picture keeps its shape; give both, or leave clip_resize out"
            )
        return self

    def form(self) -> ClipForm:
        """Return what is changed about clips."""
        return ClipForm(width=self.clip_width, height=self.clip_height, resize=self.clip_resize)
