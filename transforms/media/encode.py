"""Which encoder makes the clips, how it is set, and how one is opened."""

from __future__ import annotations

import functools
import re
from fractions import Fraction
from typing import TYPE_CHECKING

import av
import av.container
from av.codec.codec import UnknownCodecError
from av.codec.context import ThreadType
from av.video.frame import PictureType
from av.video.stream import VideoStream

from transforms.errors import PreflightError
from transforms.media.encode_settings import (
    BIT_RATE_KBIT,
    COPY,
    FIXED_OPTIONS,
    SVT_AV1_PRESET,
    EncodeSettings,
    Picture,
)
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

KNOWN_ENCODERS = ("libx264", "h264_nvenc")
"""The H.264 encoders that this module knows how to set."""

_ENDLESS_GOP = 1_000_000_000
_PROBE_SIZE = (320, 192)
"""Width and height in pixels of the frame that probes an encoder; NVENC needs at least 145x49."""


def resolve_encoder(transcode: Transcode) -> tuple[EncodeSettings, str | None]:
    """Return how clips are encoded on this machine and a warning line, or None.

    The encoder is tried on one frame: that its name is known says nothing about the hardware.

    Raises:
        PreflightError: The encoder that was asked for does not work here.
    """
    wanted = transcode.transcode_encoder
    codec = "libx264" if wanted in ("auto", "libopenh264") else wanted
    presets = {"libx264": transcode.transcode_preset, "libsvtav1": SVT_AV1_PRESET}
    settings = EncodeSettings(
        codec=codec,
        preset=presets.get(codec, ""),
        threads=transcode.transcode_encoder_threads,
        crf=transcode.transcode_crf,
        bit_rate_kbit=BIT_RATE_KBIT,
        use_input_bit_rate=transcode.transcode_use_input_video_bit_rate,
        passthrough=not transcode.asks_for_encoding,
        options=FIXED_OPTIONS[codec],
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
        fixed = FIXED_OPTIONS[codec]
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
    fixed = FIXED_OPTIONS["libx264"]
    settings = EncodeSettings("libx264", "ultrafast", 1, None, BIT_RATE_KBIT, False, False, fixed)
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
