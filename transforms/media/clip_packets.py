"""What a finished clip's container says of its pictures, and the sizes of its packets."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from transforms.errors import MediaError
from transforms.media.open_input import open_clip


@dataclass(frozen=True, slots=True)
class ClipPackets:
    """What the container says about the clip's video stream, and the sizes of its packets."""

    size: tuple[int, int]
    sample_aspect_ratio: Fraction | None
    codec: str
    fps: Fraction | None
    time_base: Fraction
    duration_seconds: float
    pts: NDArray[np.int64]
    """Of its frames, ascending; where packets have none, their numbers. Shape (N,)."""
    packet_bytes: NDArray[np.int64]
    """Bytes of the packet that each frame is in, in presentation order. Shape (N,)."""


def read_packets(path: Path) -> ClipPackets:
    """Return the facts of the clip's video stream; nothing is decoded.

    Raises:
        MediaError: ``clip_does_not_decode``: it is no video, holds no packet, or fewer than it
            states.
    """
    pts: list[int] = []
    num_bytes: list[int] = []
    num_read = 0
    try:
        with open_clip(path) as container:
            stream = video_stream(container, path)
            for packet in container.demux(stream):
                if not packet.size:
                    continue  # the empty packet that ends the stream
                num_read += 1
                if packet.is_discard:
                    continue  # outside the edit list: decoded, never shown
                pts.append(packet.pts if packet.pts is not None else num_read)
                num_bytes.append(packet.size)
            clip = _stream_facts(stream, pts, num_bytes)
            num_stated = stream.frames
    except av.FFmpegError as error:
        raise undecodable(path, f"cannot be read: {error}") from error
    if num_read < num_stated:
        raise undecodable(path, f"states {num_stated} frames but holds only {num_read}")
    if not num_bytes:
        raise undecodable(path, "holds no video packet")
    return clip


def _stream_facts(stream: av.VideoStream, pts: list[int], num_bytes: list[int]) -> ClipPackets:
    """Return what the stream's header says, with the duration counted where it is silent."""
    order = np.argsort(pts)
    packet_bytes = np.array(num_bytes, dtype=np.int64)[order]
    fps, time_base = stream.average_rate, stream.time_base
    assert time_base is not None  # of every demuxed stream
    if stream.duration is not None:
        duration = float(stream.duration * time_base)
    else:
        duration = float(len(packet_bytes) / fps) if fps else 0.0
    return ClipPackets(
        size=(stream.codec_context.width, stream.codec_context.height),
        sample_aspect_ratio=stream.sample_aspect_ratio,
        codec=stream.codec_context.codec.canonical_name,
        fps=fps,
        time_base=time_base,
        duration_seconds=duration,
        pts=np.array(pts, dtype=np.int64)[order],
        packet_bytes=packet_bytes,
    )


def video_stream(container: av.container.InputContainer, path: Path) -> av.VideoStream:
    """Return the stream to look at.

    Raises:
        MediaError: ``clip_does_not_decode``: there is none.
    """
    stream = container.streams.best("video")
    if not isinstance(stream, av.VideoStream) or stream.codec_context is None:
        raise undecodable(path, "has no video stream of a known codec")
    return stream


def undecodable(path: Path, what: str) -> MediaError:
    """Return the error for a clip that nobody could train on."""
    return MediaError("clip_does_not_decode", f"the clip {path.name} {what}")
