"""A caption window of a clip as an mp4 of its own."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.video.frame import PictureType
from av.video.stream import VideoStream

from transforms.errors import MediaError
from transforms.media.nal_units import is_clean_entry
from transforms.media.open_input import open_clip

_MUXER = {"fflags": "+bitexact", "movflags": "+faststart"}

_ENCODER = {
    # Close to the clip to the eye: a second encode should cost no visible quality.
    "preset": "veryfast",
    "crf": "18",
    "threads": "1",
    "x264-params": "cpu-independent=1:keyint=infinite:scenecut=0",
}


@dataclass(frozen=True, slots=True)
class WindowVideo:
    """A written window."""

    num_bytes: int
    reencoded: str | None
    """Why the packets could not be copied; None when they were."""


@dataclass(frozen=True, slots=True)
class _PacketTimes:
    """Video packets of a clip in decode order, shape (N,) each."""

    pts: np.ndarray
    is_keyframe: np.ndarray
    is_discard: np.ndarray
    """Decoded, but not shown: in front of the file's edit list."""


def write_window(clip: Path, start_frame: int, end_frame: int, *, target: Path) -> WindowVideo:
    """Write the frames ``[start_frame, end_frame)`` of a clip to ``target``; return its size.

    Frames are counted in presentation order. The packets are copied when that gives exactly these
    frames: the window begins with an H.264 IDR picture, and its packets follow one another with no
    packet of another window among them. Otherwise the frames are encoded anew. Audio is left out.
    The same clip gives the same bytes.

    Raises:
        MediaError: The clip cannot be read, or has fewer frames (reason ``window_not_in_clip``).
    """
    try:
        times = _packet_times(clip)
        window_pts = _window_pts(times, start_frame, end_frame, clip=clip)
        packets, reason = _copyable(clip, times, window_pts)
        if reason is None:
            _copy(clip, packets, int(window_pts[0]), target)
        else:
            _encode(clip, window_pts, target)
    except av.error.FFmpegError as error:
        raise MediaError("clip_does_not_decode", f"{clip.name}: {error}") from error
    return WindowVideo(target.stat().st_size, reason)


def _packet_times(clip: Path) -> _PacketTimes:
    with open_clip(clip) as container:
        if not container.streams.video or container.streams.video[0].codec_context is None:
            raise MediaError(
                "no_video_stream", f"{clip.name}: a clip needs a video stream of a known codec"
            )
        rows = [
            (packet.pts, packet.is_keyframe, packet.is_discard) for packet in _packets(container)
        ]
    if any(pts is None for pts, _, _ in rows):
        raise MediaError("no_timestamps", f"{clip.name}: a video packet has no time stamp")
    return _PacketTimes(
        pts=np.array([row[0] for row in rows], np.int64),
        is_keyframe=np.array([row[1] for row in rows], np.bool_),
        is_discard=np.array([row[2] for row in rows], np.bool_),
    )


def _window_pts(times: _PacketTimes, start_frame: int, end_frame: int, *, clip: Path) -> np.ndarray:
    """Return the presentation times of the window's frames, sorted."""
    shown = times.pts[~times.is_discard]
    if not 0 <= start_frame < end_frame <= len(shown):
        raise MediaError(
            "window_not_in_clip",
            f"{clip.name}: frames {start_frame} to {end_frame - 1} were asked for, "
            f"the clip has {len(shown)}",
        )
    return np.sort(shown)[start_frame:end_frame]


def _copyable(clip: Path, times: _PacketTimes, window_pts: np.ndarray) -> tuple[slice, str | None]:
    """Return which packets, in decode order, are the window, or why copying would not do."""
    first = int(np.flatnonzero(times.pts == window_pts[0])[0])
    packets = slice(first, first + len(window_pts))
    if not times.is_keyframe[first]:
        return packets, "no_keyframe_at_start"
    if times.is_discard.any() or not np.array_equal(np.sort(times.pts[packets]), window_pts):
        return packets, "frames_out_of_window"
    with open_clip(clip) as container:
        if container.streams.video[0].codec_context.name != "h264":
            return packets, "not_h264"
        packet = next(itertools.islice(_packets(container), first, None))
        extradata = packet.stream.codec_context.extradata or b""
        if not is_clean_entry(bytes(packet), "h264", extradata):
            return packets, "no_idr_at_start"
    return packets, None


def _copy(clip: Path, packets: slice, first_pts: int, target: Path) -> None:
    with open_clip(clip) as container, _open_output(target) as output:
        source = container.streams.video[0]
        stream = output.add_stream_from_template(source)
        stream.time_base = source.time_base
        for packet in itertools.islice(_packets(container), packets.start, packets.stop):
            packet.pts = _known(packet.pts) - first_pts
            packet.dts = _known(packet.dts) - first_pts
            packet.stream = stream
            output.mux(packet)


def _encode(clip: Path, window_pts: np.ndarray, target: Path) -> None:
    count = 0
    with open_clip(clip) as container, _open_output(target) as output:
        source = container.streams.video[0]
        stream = _encoder(output, source)
        for frame in _decoded(container, first=int(window_pts[0]), last=int(window_pts[-1])):
            output.mux(stream.encode(_prepared(frame, stream, int(window_pts[0]), count == 0)))
            count += 1
        output.mux(stream.encode(None))
    if count != len(window_pts):
        raise MediaError(
            "clip_does_not_decode",
            f"{clip.name}: {len(window_pts)} frames were to be decoded, {count} were",
        )


def _prepared(
    frame: av.VideoFrame, stream: VideoStream, first_pts: int, is_first: bool
) -> av.VideoFrame:
    """Return the frame as the encoder wants it: its pixel format, times from 0, no source type."""
    pts, time_base = _known(frame.pts), frame.time_base
    if frame.format.name != stream.pix_fmt:
        frame = frame.reformat(format=stream.pix_fmt)
    frame.pts, frame.dts, frame.time_base = pts - first_pts, None, time_base
    frame.pict_type = PictureType.I if is_first else PictureType.NONE
    return frame


def _known(time: int | None) -> int:
    if time is None:
        raise MediaError("no_timestamps", "a video frame has no time stamp")
    return time


def _encoder(output: OutputContainer, source: VideoStream) -> VideoStream:
    rate = source.average_rate or Fraction(25)
    stream = output.add_stream("libx264", rate=rate, options=_ENCODER)
    # yuv420p has half the colour lines and columns, so an odd size needs a full-colour format.
    even = source.width % 2 == 0 and source.height % 2 == 0
    stream.width, stream.height = source.width, source.height
    stream.pix_fmt = "yuv420p" if even else "yuv444p"
    context, origin = stream.codec_context, source.codec_context
    if source.time_base is not None:
        context.time_base = stream.time_base = source.time_base
    context.thread_count = 1
    if origin.sample_aspect_ratio is not None:
        context.sample_aspect_ratio = origin.sample_aspect_ratio
    context.color_range = origin.color_range
    context.color_primaries = origin.color_primaries
    context.color_trc = origin.color_trc
    context.colorspace = origin.colorspace
    return stream


def _decoded(container: InputContainer, *, first: int, last: int) -> Iterator[av.VideoFrame]:
    source = container.streams.video[0]
    source.codec_context.thread_type = "NONE"
    source.codec_context.thread_count = 1
    for frame in container.decode(source):
        pts = _known(frame.pts)
        if pts > last:
            return
        if pts >= first:
            yield frame


def _packets(container: InputContainer) -> Iterator[Packet]:
    """Yield the video packets in decode order, without the empty one at the end."""
    return (packet for packet in container.demux(container.streams.video[0]) if packet.size)


def _open_output(target: Path) -> OutputContainer:
    return av.open(str(target), "w", format="mp4", options=_MUXER)
