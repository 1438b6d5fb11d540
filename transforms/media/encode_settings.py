"""How clips are encoded: plain values, read without importing FFmpeg."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from fractions import Fraction

COPY = "copy"
"""In place of an encoder: the source's packets."""

BIT_RATE_KBIT = 4000
"""Upstream's ``-b:v 4M`` (contract §1.6)."""

# Keyframes stand only where a frame's pict_type asks for one: an infinite keyint alone still lets
# libx264 put them at scene cuts. cpu-independent: the same bytes whatever the processor can do.
# a53cc: closed captions of the source are text, they stay out of the picture's bytes.
_X264 = (
    ("x264-params", "cpu-independent=1:keyint=infinite:scenecut=0"),
    ("forced-idr", "1"),
    ("a53cc", "0"),
)
# Contract §1.6, and what keeps NVENC from placing keyframes itself.
_NVENC = (
    ("rc", "vbr"),
    ("tune", "hq"),
    ("b_ref_mode", "middle"),
    ("temporal-aq", "1"),
    ("rc-lookahead", "20"),
    ("spatial-aq", "1"),
    ("no-scenecut", "1"),
    ("forced-idr", "1"),
    ("a53cc", "0"),
)
# lp=1: one thread, the same bytes on every machine. Keyframes only where they are asked for.
_SVT_AV1 = (("svtav1-params", "lp=1:scd=0"),)
SVT_AV1_PRESET = "8"
_NVENC_CQ = "21"
_COPY = (("rule", "1"),)
"""Counted up when copied clips come to hold other packets than before."""
_SHORTEST = "shortest_seconds"
FIXED_OPTIONS = {"libx264": _X264, "h264_nvenc": _NVENC, "libsvtav1": _SVT_AV1, COPY: _COPY}
"""What is fixed for each encoder, and for copying."""


@dataclass(frozen=True, slots=True)
class EncodeSettings:
    """How clips are encoded, resolved on the machine that starts the run; JSON-able by ``asdict``.

    Everything that decides the bytes of a clip stands here or in :func:`encoder_build`.
    """

    codec: str
    """Name of the encoder: libx264, h264_nvenc or libsvtav1; or ``COPY``."""
    preset: str
    """Preset of libx264 or libsvtav1; else empty."""
    threads: int
    """Threads of one encoder."""
    crf: float | None
    """Constant quality; None: a bit rate."""
    bit_rate_kbit: int
    """Bit rate in 1000 bits per second when ``crf`` is None and the input's is not wanted."""
    use_input_bit_rate: bool
    """Whether the bit rate of the input video is used instead."""
    passthrough: bool
    """Whether a span that covers a whole clean H.264 mp4 keeps its bytes."""
    options: tuple[tuple[str, str], ...]
    """Fixed options of the encoder, or of copying, name and value."""

    def __post_init__(self) -> None:
        """Turn the lists that JSON makes of tuples back into tuples."""
        pairs = tuple((str(name), str(value)) for name, value in self.options)
        object.__setattr__(self, "options", pairs)

    def dropping_below(self, seconds: float) -> EncodeSettings:
        """Return the settings by which copied clips of fewer seconds fail; others stay as they are.

        What is encoded has the length of its span, what is copied what packets leave of it.
        """
        if self.codec != COPY:
            return self
        return dataclasses.replace(self, options=(*_COPY, (_SHORTEST, f"{seconds:g}")))

    @property
    def shortest_seconds(self) -> Fraction:
        """How long a copied clip must be."""
        return Fraction(dict(self.options).get(_SHORTEST, "0"))

    def bit_rate(self, *, input_kbit: int) -> int:
        """Return the bit rate in bits per second, 0 for constant quality."""
        if self.crf is not None:
            return 0
        return 1000 * (input_kbit if self.use_input_bit_rate else self.bit_rate_kbit)

    def codec_options(self) -> dict[str, str]:
        """Return what the encoder is opened with."""
        options = dict(self.options)
        if self.preset:
            options["preset"] = self.preset
        if self.codec == "h264_nvenc":
            options["cq"] = _NVENC_CQ if self.crf is None else f"{self.crf:g}"
        elif self.crf is not None:
            options["crf"] = f"{self.crf:g}"
        return options


@dataclass(frozen=True, slots=True)
class Picture:
    """What an encoder must know about the frames it will get."""

    width: int
    """Pixels, even."""
    height: int
    """Pixels, even."""
    pixel_format: str
    """yuv420p, or for full range yuvj420p where the encoder knows it; yuv420p10le."""
    time_base: Fraction
    """Seconds per tick of the frames' PTS."""
    rate: Fraction
    """Frames per second, for the encoder's rate control only."""
    sample_aspect_ratio: Fraction = Fraction(1)
    color: tuple[int, int, int, int] = (0, 2, 2, 2)
    """Range, primaries, transfer, matrix as FFmpeg numbers them; default: all untagged."""
