"""The form that a trainer wants clips in: picture size, frame rate, frame count."""

from __future__ import annotations

from dataclasses import dataclass, fields
from fractions import Fraction
from typing import Any, Literal

Resize = Literal["scale", "crop", "pad"]


@dataclass(frozen=True, slots=True)
class ClipForm:
    """What is changed about clips; the default changes nothing."""

    width: int | None = None
    """Pixels, even; None: as ``height`` and the aspect ratio have it, or as the source."""
    height: int | None = None
    """Pixels, even; likewise."""
    resize: Resize = "scale"
    """How a picture of another shape comes to have both."""
    rate: Fraction | None = None
    """Frames per second, constant; None: every frame of the source at its time."""
    frame_multiple: int = 0
    """The m of counts m n + 1 that clips are trimmed to, n at least 1; 0: any count."""
    max_frames: int | None = None
    """Largest number of frames; longer clips get a lower rate."""
    keep_hdr: bool = False
    """Whether high dynamic range is kept, in 10 bits."""

    @property
    def changes_size(self) -> bool:
        """Whether a size is asked for."""
        return self.width is not None or self.height is not None

    @property
    def changes_frames(self) -> bool:
        """Whether a rate or a number of frames is asked for."""
        return bool(self.rate or self.frame_multiple or self.max_frames)

    @property
    def smallest_count(self) -> int:
        """The smallest number of frames that a clip may have."""
        return self.frame_multiple + 1 if self.frame_multiple else 1

    def trimmed(self, count: int) -> int:
        """Return how many of so many frames remain, 0: there are too few.

        Example:
            >>> ClipForm(frame_multiple=4).trimmed(60)
            57
        """
        if count < self.smallest_count:
            return 0
        multiple = self.frame_multiple or 1
        return count - (count - 1) % multiple

    def definition(self) -> dict[str, Any]:
        """Return what differs from the default; part of the cut's fingerprint."""
        return {
            field.name: str(getattr(self, field.name))
            for field in fields(self)
            if getattr(self, field.name) != field.default
        }


UNCHANGED = ClipForm()
"""The form that changes nothing."""


@dataclass(frozen=True, slots=True)
class Fit:
    """How a picture gets its size: scaled, then cut or framed in black to the size."""

    scaled: tuple[int, int]
    """Width and height after scaling, in pixels, even."""
    size: tuple[int, int]
    """Width and height of the clip, in pixels, even."""

    def offset(self, axis: int) -> int:
        """Return the even place of the smaller of the two in the larger, in the middle."""
        return abs(self.scaled[axis] - self.size[axis]) // 4 * 2


def fit(form: ClipForm, size: tuple[int, int], *, aspect: Fraction) -> Fit:
    """Return how a picture is brought to the size of ``form``; its pixels are square then.

    Args:
        form: Asks for a width, a height or both.
        size: Width and height of the upright picture in pixels.
        aspect: Width over height of one of its pixels.
    """
    wide, high = size[0] * aspect, Fraction(size[1])
    width = form.width or _even(Fraction(form.height or 0) * wide / high)
    height = form.height or _even(Fraction(width) * high / wide)
    wanted = (width, height)
    if form.resize == "scale" or not (form.width and form.height):
        return Fit(wanted, wanted)
    if form.resize == "crop":
        factor = max(width / wide, height / high)
        scaled = (max(width, _even(wide * factor)), max(height, _even(high * factor)))
        return Fit(scaled, wanted)
    factor = min(width / wide, height / high)
    return Fit((min(width, _even(wide * factor)), min(height, _even(high * factor))), wanted)


def _even(length: Fraction) -> int:
    """Return the nearest even number, at least 2."""
    return max(2, 2 * int(length / 2 + Fraction(1, 2)))
