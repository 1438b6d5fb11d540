"""Probe a video: what its header, first packets and index say, without reading its media data."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from fractions import Fraction
from typing import BinaryIO

import av
from av.stream import Stream

from transforms.errors import MediaError
from transforms.media.color_names import color_names
from transforms.media.container_index import (
    IndexEntries,
    full_index,
    has_keyframe_index,
    keyframe_pts,
)
from transforms.media.first_packets import FirstPackets, read_first_packets, variable_frame_rate
from transforms.media.open_input import choose_video_stream, open_input, unreadable
from transforms.records import VideoFacts

__all__ = ["keyframe_pts", "probe"]

_DEFAULT_BIT_RATE_KBIT = 4000
"""Upstream's number when the stream does not say (contract §1.4)."""
_CONTAINERS = {"mov,mp4,m4a,3gp,3g2,mj2": "mp4", "matroska,webm": "matroska"}


def probe(source: str | BinaryIO, *, name: str, num_bytes: int) -> VideoFacts:
    """Return what the container says about its best video stream.

    Reads the header, the first packets and, where there is one, the index; one picture is decoded
    to learn its rotation. Only a file that states no duration or no frame rate is read through.

    Args:
        source: Local path, or a seekable binary file.
        name: What messages call the file.
        num_bytes: Size of the file.

    Raises:
        MediaError: ``empty_file``, ``not_media``, ``no_video_stream``, ``encrypted``,
            ``no_metadata`` (size, duration or frame rate unknown even after reading it all),
            ``unreadable``.
    """
    if num_bytes == 0:
        raise MediaError(
            "empty_file", f"{name}: needed a video, got an empty file (0 bytes); copy it again"
        )
    with open_input(source, name=name) as container:
        stream = choose_video_stream(container, name=name)
        stream.codec_context.thread_type = "NONE"
        stream.codec_context.thread_count = 1
        try:
            return _facts(container, stream, source=source, name=name)
        except (av.error.FFmpegError, OSError) as error:
            raise unreadable(name, "the first packets or the index", error) from error


def container_name(container: av.container.InputContainer) -> str:
    """Return the short name of the format: mp4, mov, matroska, avi, mpegts, flv, ..."""
    short = _CONTAINERS.get(container.format.name, container.format.name)
    if short == "mp4" and container.metadata.get("major_brand", "qt").strip() == "qt":
        return "mov"
    return short


@dataclass(frozen=True)
class _Timing:
    """When frames come and how often."""

    duration_seconds: float
    average_rate: Fraction
    first_pts: int


@dataclass(frozen=True)
class _Picture:
    """What pictures look like."""

    width: int
    height: int
    sample_aspect_ratio: Fraction
    pixel_format: str
    bit_depth: int
    color: tuple[str, str, str, str]


def _facts(
    container: av.container.InputContainer,
    stream: av.VideoStream,
    *,
    source: str | BinaryIO,
    name: str,
) -> VideoFacts:
    short = container_name(container)
    picture = _picture(stream, name=name)  # before decoding, which may change it
    opened = IndexEntries.of(stream)
    first = _first_packets(container, stream, name=name)
    read = IndexEntries.of(stream)
    full = full_index(container, stream, container_name=short)
    indexed = has_keyframe_index(short, before=read, full=full, header_frames=stream.frames)
    lists_frames = short in ("mp4", "mov", "avi") and stream.frames > 0 and len(opened) > 1
    timing = _timing(container, stream, first, source=source, name=name)
    times = opened.timestamp[opened.is_shown] if lists_frames else first.pts
    audio = container.streams.best("audio")
    return VideoFacts(
        container=short,
        stream_index=stream.index,
        codec=stream.codec_context.codec.canonical_name,
        **dataclasses.asdict(picture),
        **dataclasses.asdict(timing),
        rotation_degrees=first.rotation_degrees,
        time_base=_time_base(stream),
        variable_frame_rate=variable_frame_rate(times, time_base=_time_base(stream)),
        bit_rate_kbit=int((stream.codec_context.bit_rate or 0) / 1024) or _DEFAULT_BIT_RATE_KBIT,
        audio_codec=audio.codec_context.codec.canonical_name if audio else "",
        num_streams=_num_streams(container),
        header_frames=stream.frames,
        has_keyframe_index=indexed,
        needs_full_read=not indexed and not lists_frames,
        encrypted=False,
        notes=_timing_notes(container, stream) + (("mirrored",) if first.mirrored else ()),
    )


def _first_packets(
    container: av.container.InputContainer, stream: av.VideoStream, *, name: str
) -> FirstPackets:
    """Return what the first packets say; raises ``MediaError`` when they are encrypted."""
    first = read_first_packets(container, stream)
    if first.encrypted:
        raise MediaError(
            "encrypted",
            f"{name}: needed a video that can be decoded, got an encrypted track (CENC); "
            "decrypt the file first",
        )
    return first


def _num_streams(container: av.container.InputContainer) -> tuple[int, int, int]:
    """Return how many streams show pictures, sound, and anything else."""
    num_video, num_audio = len(container.streams.video), len(container.streams.audio)
    return num_video, num_audio, len(container.streams) - num_video - num_audio


def _picture(stream: av.VideoStream, *, name: str) -> _Picture:
    """Return what the header says about the pictures."""
    context = stream.codec_context
    pixels = context.format
    if not context.width or not context.height or context.pix_fmt is None or pixels is None:
        raise _no_metadata(name, "picture size or pixel format")
    return _Picture(
        width=context.width,
        height=context.height,
        sample_aspect_ratio=Fraction(stream.sample_aspect_ratio or 1),
        pixel_format=context.pix_fmt,
        bit_depth=pixels.components[0].bits,
        color=color_names(
            color_range=context.color_range,
            primaries=context.color_primaries,
            transfer=context.color_trc,
            matrix=context.colorspace,
        ),
    )


def _time_base(stream: Stream) -> Fraction:
    if stream.time_base is None:
        raise ValueError("an opened video stream has a time base")
    return stream.time_base


def _timing(
    container: av.container.InputContainer,
    stream: av.VideoStream,
    first: FirstPackets,
    *,
    source: str | BinaryIO,
    name: str,
) -> _Timing:
    """Return the timing as ffprobe states it, else (rare) counted by reading all packets."""
    duration = _stated_duration(container, stream)
    rate = stream.average_rate
    first_pts = int(first.pts[0]) if len(first.pts) else stream.start_time or 0
    if duration > 0 and rate:
        return _Timing(duration, Fraction(rate), first_pts)
    with open_input(source, name=name) as again:
        counted = _count_packets(again, again.streams[stream.index])
    if counted is None:
        raise _no_metadata(name, "duration or frame rate")
    return _Timing(
        duration if duration > 0 else counted[0], Fraction(rate or counted[1]), first_pts
    )


def _stated_duration(container: av.container.InputContainer, stream: av.VideoStream) -> float:
    """Return seconds: of the stream, else of the container, else 0 (contract §1.4)."""
    if stream.duration:
        return float(stream.duration * _time_base(stream))
    return (container.duration or 0) / av.time_base


def _timing_notes(
    container: av.container.InputContainer, stream: av.VideoStream
) -> tuple[str, ...]:
    """Return which parts of the timing had to be counted."""
    counted = () if _stated_duration(container, stream) > 0 else ("duration_from_packets",)
    return counted + (() if stream.average_rate else ("rate_from_packets",))


def _count_packets(
    container: av.container.InputContainer, stream: Stream
) -> tuple[float, Fraction] | None:
    """Return (seconds from the first PTS to the end of the last frame, frames per second)."""
    low = high = None
    count = last_duration = 0
    for packet in container.demux(stream):
        time = packet.dts if packet.pts is None else packet.pts
        if packet.size == 0 or packet.is_discard or time is None:
            continue
        count += 1
        low = time if low is None or time < low else low
        if high is None or time > high:
            high, last_duration = time, packet.duration or 0
    if low is None or high is None or high <= low:
        return None
    mean = Fraction(high - low, count - 1)
    tick = _time_base(stream)
    ticks = high - low + (last_duration or mean)
    return float(ticks * tick), (1 / (mean * tick)).limit_denominator(100_000)


def _no_metadata(name: str, what: str) -> MediaError:
    return MediaError(
        "no_metadata",
        f"{name}: needed {what}, but neither the header nor the packets tell it; "
        "the file is damaged or not a video: remux or remove it",
    )
