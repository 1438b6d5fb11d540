"""Small valid videos that broken ones are made from: one per container and codec."""

from __future__ import annotations

import functools
import tempfile
from fractions import Fraction
from pathlib import Path

import av
from make_video import VideoSpec, make_video

_BITEXACT = (("fflags", "+bitexact"),)
_PLAIN = VideoSpec(seconds=1.6, size=(64, 64), fps=Fraction(10), container_options=_BITEXACT)


def _spec(  # noqa: PLR0913 - what differs between the bases, all by name
    codec: str = "libx264",
    *,
    size: tuple[int, int] = (64, 64),
    pixel_format: str = "yuv420p",
    audio: str = "",
    b_frames: int = 0,
    muxer: tuple[tuple[str, str], ...] = (),
    encoder: tuple[tuple[str, str], ...] = (),
) -> VideoSpec:
    return VideoSpec(
        seconds=_PLAIN.seconds,
        size=size,
        fps=_PLAIN.fps,
        codec=codec,
        keyframe_every=5,
        b_frames=b_frames,
        pixel_format=pixel_format,
        audio=audio,
        encoder_options=encoder,
        container_options=_BITEXACT + muxer,
    )


_X265 = (("x265-params", "pools=none:frame-threads=1:log-level=none"),)
_FRAGMENTS = (("movflags", "frag_keyframe+empty_moov+default_base_moof"),)
_VP8 = (("deadline", "realtime"), ("cpu-used", "8"))
SPECS = {
    "faststart.mp4": _spec(audio="aac", muxer=(("movflags", "+faststart"),)),
    "moov_last.mp4": _spec(b_frames=2),
    "fragments.mp4": _spec(audio="aac", muxer=_FRAGMENTS),
    "odd.mp4": _spec(size=(321, 181), pixel_format="yuv444p"),
    "hevc.mov": _spec("libx265", encoder=_X265),
    "tenbit.mov": _spec("prores_ks", pixel_format="yuv422p10le"),
    "sound.mov": _spec("mpeg4", audio="pcm_s16le"),
    "b_frames.mkv": _spec(b_frames=2, audio="libopus"),
    "mp3.mkv": _spec("mpeg4", audio="libmp3lame"),
    "vp8.webm": _spec("libvpx", encoder=_VP8, audio="libopus"),
    "vp9.webm": _spec("libvpx-vp9", encoder=_VP8),
    "live.mkv": _spec(muxer=(("live", "1"),)),
    "live.webm": _spec("libvpx", encoder=_VP8, muxer=(("live", "1"),)),
    "h264.ts": _spec(audio="mp2"),
    "mpeg2.ts": _spec("mpeg2video"),
    "mpeg4.avi": _spec("mpeg4", audio="libmp3lame"),
    "mjpeg.avi": _spec("mjpeg", pixel_format="yuvj420p"),
    "h264.flv": _spec(audio="aac"),
    "sorenson.flv": _spec("flv"),
}
"""File name to what is in it; all have 16 frames of 0.1 s, a keyframe every 5."""

LISTED = tuple(name for name in SPECS if name.endswith((".mp4", ".mov")))
MATROSKA = tuple(name for name in SPECS if name.endswith((".mkv", ".webm")))


@functools.cache
def base(name: str) -> bytes:
    """Return the bytes of one of ``SPECS``; the same in every process with the same PyAV."""
    return made(name, SPECS[name])


def made(name: str, spec: VideoSpec) -> bytes:
    """Return the bytes of a video of this spec in a container by the name's ending."""
    with tempfile.TemporaryDirectory() as folder:
        return make_video(Path(folder) / name, spec).read_bytes()


def sound_only(name: str) -> bytes:
    """Return a file with nothing but sound in it, of the container that ``name`` ends with."""
    return remuxed(base("faststart.mp4"), name, kinds=("audio",))


def remuxed(
    data: bytes,
    name: str,
    *,
    kinds: tuple[str, ...] = ("video", "audio"),
    copies: int = 1,
    retime: dict[int, int] | None = None,
    muxer: tuple[tuple[str, str], ...] = (),
) -> bytes:
    """Return the packets of ``data`` in a new container.

    Args:
        data: A media file.
        name: Its ending chooses the container.
        kinds: Types of streams to take.
        copies: How often each stream is written.
        retime: Packet number of a video stream to ticks (1/1000 s) added to its times and to
            those of every later packet.
        muxer: Options.
    """
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "source", Path(folder) / name
        source.write_bytes(data)
        options = dict(_BITEXACT + muxer)
        file_format = {".ts": "mpegts", ".mkv": "matroska"}.get(target.suffix)
        with (
            av.open(str(source)) as read,
            av.open(str(target), "w", format=file_format, options=options) as out,
        ):
            taken = [stream for stream in read.streams if stream.type in kinds]
            outs = {
                s.index: [out.add_stream_from_template(s) for _ in range(copies)] for s in taken
            }
            _copy(read, out, taken, outs, retime or {})
        return target.read_bytes()


def _copy(read, out, taken, outs, retime) -> None:  # type: ignore[no-untyped-def]
    number, shift = 0, retime.get(0, 0)
    for packet in read.demux(taken):
        if not packet.size:
            continue
        if packet.stream.type == "video":
            shift += retime.get(number, 0) if number else 0
            number += 1
        ticks = int(Fraction(shift, 1000) / packet.time_base)
        for stream in outs[packet.stream.index]:
            copy = av.Packet(bytes(packet))
            copy.time_base, copy.is_keyframe = packet.time_base, packet.is_keyframe
            if packet.pts is not None:
                copy.pts = packet.pts + ticks
            if packet.dts is not None:
                copy.dts = packet.dts + ticks
            copy.duration, copy.stream = packet.duration, stream
            out.mux(copy)
