"""Which encoder makes the clips, how it is set, and how one is opened."""

from __future__ import annotations

import dataclasses
import functools
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import av
import av.container
from av.codec.codec import UnknownCodecError
from av.codec.context import ThreadType
from av.video.frame import PictureType
from av.video.stream import VideoStream

from transforms.errors import PreflightError
from transforms.media.scheduling import own_scheduling

if TYPE_CHECKING:  # Children import this module, and have no use for pydantic.
    from transforms.media.transcode_options import Transcode

__all__ = [
    "COPY",
    "EncodeSettings",
    "Picture",
    "add_video_stream",
    "encoder_build",
    "resolve_encoder",
]

COPY = "copy"
"""In place of an encoder: the source's packets."""

BIT_RATE_KBIT = 4000
"""Upstream's ``-b:v 4M`` (contract §1.6)."""

KNOWN_ENCODERS = ("libx264", "h264_nvenc")
"""The H.264 encoders that this module knows how to set."""

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
_SVT_AV1_PRESET = "8"
_NVENC_CQ = "21"
_ENDLESS_GOP = 1_000_000_000
_COPY = (("rule", "1"),)
"""Counted up when copied clips come to hold other packets than before."""
_SHORTEST = "shortest_seconds"
_FIXED = {"libx264": _X264, "h264_nvenc": _NVENC, "libsvtav1": _SVT_AV1, COPY: _COPY}
_PROBE_SIZE = (320, 192)
"""Width and height in pixels of the frame that probes an encoder; NVENC needs at least 145x49."""


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


def resolve_encoder(transcode: Transcode) -> tuple[EncodeSettings, str | None]:
    """Return how clips are encoded on this machine and a warning line, or None.

    The encoder is tried on one frame: that its name is known says nothing about the hardware.

    Raises:
        PreflightError: The encoder that was asked for does not work here.
    """
    wanted = transcode.transcode_encoder
    codec = "libx264" if wanted in ("auto", "libopenh264") else wanted
    presets = {"libx264": transcode.transcode_preset, "libsvtav1": _SVT_AV1_PRESET}
    settings = EncodeSettings(
        codec=codec,
        preset=presets.get(codec, ""),
        threads=transcode.transcode_encoder_threads,
        crf=transcode.transcode_crf,
        bit_rate_kbit=BIT_RATE_KBIT,
        use_input_bit_rate=transcode.transcode_use_input_video_bit_rate,
        passthrough=not transcode.asks_for_encoding,
        options=_FIXED[codec],
    )
    problem = None if codec == COPY else _problem(settings)
    if problem is not None:
        raise PreflightError(_absent(wanted, problem, working_encoders()))
    if wanted == "libopenh264":
        return settings, (
            "transcode_encoder libopenh264 is not part of this program: clips are encoded by "
            f"libx264 (preset {settings.preset}) at the same bit rate; "
            "leave the option out to silence this line"
        )
    return settings, None


def working_encoders() -> list[str]:
    """Return the H.264 encoders that encode a frame on this machine."""
    working = []
    for codec in KNOWN_ENCODERS:
        fixed = _FIXED[codec]
        preset = "veryfast" if codec == "libx264" else ""
        settings = EncodeSettings(codec, preset, 1, None, BIT_RATE_KBIT, False, False, fixed)
        if _problem(settings) is None:
            working.append(codec)
    return working


@functools.cache
def encoder_build() -> str:
    """Return which libx264 and PyAV make the bytes, e.g. ``libx264 core 165 / av 18.1.0``.

    The number is read from the first packet, where libx264 signs its streams.
    """
    settings = EncodeSettings("libx264", "ultrafast", 1, None, BIT_RATE_KBIT, False, False, _X264)
    found = re.search(rb"x264 - core (\d+)", _probe_bytes(settings))
    core = found.group(1).decode() if found else "unknown"
    return f"libx264 core {core} / av {av.__version__}"


def add_video_stream(
    container: av.container.OutputContainer,
    settings: EncodeSettings,
    picture: Picture,
    *,
    bit_rate: int,
) -> VideoStream:
    """Add the clip's video stream to ``container``; its encoder opens with the first frame.

    Args:
        container: The clip's file, nothing muxed yet.
        settings: How to encode.
        picture: What the frames will be like.
        bit_rate: Bits per second; 0 for constant quality.
    """
    stream = container.add_stream(
        settings.codec, rate=picture.rate, options=settings.codec_options()
    )
    assert isinstance(stream, VideoStream)
    _configure(stream.codec_context, settings, picture, bit_rate=bit_rate)
    if settings.codec == "libsvtav1":
        with own_scheduling():
            stream.codec_context.open()
    return stream


def _configure(
    context: av.VideoCodecContext, settings: EncodeSettings, picture: Picture, *, bit_rate: int
) -> None:
    context.width, context.height = picture.width, picture.height
    context.pix_fmt = picture.pixel_format
    context.time_base = picture.time_base
    context.framerate = picture.rate
    context.bit_rate = bit_rate
    context.sample_aspect_ratio = picture.sample_aspect_ratio
    context.color_range, context.color_primaries = picture.color[:2]
    context.color_trc, context.colorspace = picture.color[2:]
    # PyAV's default type is SLICE: two threads would mean sliced frames, which are larger.
    context.thread_type = ThreadType.FRAME
    context.thread_count = settings.threads
    if settings.codec in ("h264_nvenc", "libsvtav1"):
        context.gop_size = _ENDLESS_GOP


def _problem(settings: EncodeSettings) -> str | None:
    """Return why the encoder does not work here, or None."""
    try:
        produced = _probe_bytes(settings)
    except UnknownCodecError:
        return "this build of FFmpeg (the one inside PyAV) has no such encoder"
    except av.FFmpegError as error:
        return f"it does not encode on this machine ({error.strerror})"
    return None if produced else "it encoded nothing"


def _probe_bytes(settings: EncodeSettings) -> bytes:
    width, height = _PROBE_SIZE
    context = av.CodecContext.create(settings.codec, "w")
    assert isinstance(context, av.VideoCodecContext)
    context.options = settings.codec_options()
    picture = Picture(width, height, "yuv420p", Fraction(1, 25), Fraction(25))
    _configure(context, settings, picture, bit_rate=settings.bit_rate(input_kbit=BIT_RATE_KBIT))
    frame = av.VideoFrame(width, height, "yuv420p")
    for plane in frame.planes:
        plane.update(bytes(plane.buffer_size))
    frame.pts, frame.time_base, frame.pict_type = 0, picture.time_base, PictureType.I
    with own_scheduling():
        packets = [*context.encode(frame), *context.encode(None)]
    return b"".join(bytes(packet) for packet in packets)


def _absent(wanted: str, problem: str, working: list[str]) -> str:
    have = ", ".join(working) if working else "none"
    return (
        f"transcode_encoder {wanted}: {problem}. H.264 encoders that work here: {have}. "
        "Choose one of them, leave the option out (auto is libx264), or run where there is an "
        "NVIDIA GPU with an encoder (data-centre GPUs such as A100, H100 and H200 have none)."
    )
