"""The options that give clips the form a trainer wants."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import model_validator

from transforms.errors import PreflightError
from transforms.media.clip_form import ClipForm, Resize
from transforms.section import Section, option

if TYPE_CHECKING:  # Options are read without FFmpeg, which takes a while to import.
    from transforms.media.encode_settings import EncodeSettings

FrameMultiple = Literal["none", "4n+1", "8n+1"]
_MULTIPLES: dict[str, int] = {"none": 0, "4n+1": 4, "8n+1": 8}
_NTSC = (24, 30, 48, 60, 120)
_NTSC_TOLERANCE = Fraction(1, 200)


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

    clip_fps: float | None = option(None, unit="frames per second", gt=0, le=1000)
    """Constant rate of the clips; frames are repeated and dropped, never mixed. 23.976, 29.97,
    47.952, 59.94 and 119.88 mean 24000/1001 and so on."""
    clip_frame_multiple: FrameMultiple = option("none")
    """Trim the end of each clip so that its frame count is 4n+1 or 8n+1, n at least 1, as video
    models with temporal compression need it. Clips with fewer frames than 5 or 9 fail."""
    keep_hdr: bool = option(False)
    """Keep high dynamic range (PQ, HLG) as 10-bit H.264 with its tags. Without it such videos are
    tone-mapped to 8-bit BT.709. Needs libx264, or ``transcode_encoder copy``."""

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
        return ClipForm(
            width=self.clip_width,
            height=self.clip_height,
            resize=self.clip_resize,
            rate=None if self.clip_fps is None else exact_rate(self.clip_fps),
            frame_multiple=_MULTIPLES[self.clip_frame_multiple],
            keep_hdr=self.keep_hdr,
        )


def check_encoder(form: ClipForm, settings: EncodeSettings) -> None:
    """Refuse an encoder that cannot give clips this form.

    Raises:
        PreflightError: 10 bits are to be kept by an encoder of 8.
    """
    if form.keep_hdr and settings.codec not in ("libx264", "copy"):
        raise PreflightError(
            f"keep_hdr true: {settings.codec} encodes 8 bits here, high dynamic range needs 10; "
            "take transcode_encoder libx264, or leave keep_hdr out to have it tone-mapped"
        )


def exact_rate(fps: float) -> Fraction:
    """Return the rate that a decimal number stands for.

    Example:
        >>> exact_rate(23.976), exact_rate(12.5)
        (Fraction(24000, 1001), Fraction(25, 2))
    """
    for whole in _NTSC:
        rate = Fraction(whole * 1000, 1001)
        if abs(Fraction(fps) - rate) < _NTSC_TOLERANCE:
            return rate
    return Fraction(str(fps)).limit_denominator(1000)
