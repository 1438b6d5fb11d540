"""What the first packets of a video stream tell: first PTS, frame durations, rotation."""

from __future__ import annotations

import gc
import struct
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
from av.sidedata.sidedata import SideData
from numpy.typing import NDArray

from transforms.media.vp8_frames import is_invisible

_MAX_PACKETS = 48
_MAX_BYTES = 256 * 1024
_MAX_DECODED = 8
"""Packets given to the decoder at most to get one picture out of it."""


@dataclass(frozen=True)
class FirstPackets:
    """Facts of the first packets; at most 48 packets or about 256 KiB are read."""

    pts: NDArray[np.int64]
    """Sorted PTS in ticks without gaps by reordering, shape (N,); empty when there are none."""
    encrypted: bool
    rotation_degrees: int
    """Clockwise turn that shows the picture upright: 0, 90, 180 or 270."""
    mirrored: bool
    """Whether the display matrix also mirrors the picture."""


def read_first_packets(
    container: av.container.InputContainer, stream: av.VideoStream
) -> FirstPackets:
    """Read the first packets and decode one picture for its display matrix.

    PyAV shows the display matrix only on decoded frames. A picture that does not decode is no
    error here: it is taken as upright, and the cut will say what is wrong with the file.
    """
    times = _Times()
    encrypted = False
    num_bytes = 0
    turn: tuple[int, bool] | None = None
    for number, packet in enumerate(container.demux(stream)):
        if packet.size == 0:
            break
        if not is_invisible(packet, stream.codec_context.codec.canonical_name):
            times.add(packet)
        encrypted = encrypted or packet.has_sidedata("encryption_info")
        if turn is None and not encrypted and number < _MAX_DECODED:
            turn = _turn_of_picture(stream, packet)
        num_bytes += packet.size
        if number + 1 >= _MAX_PACKETS or num_bytes >= _MAX_BYTES:
            break
    rotation, mirrored = turn or (0, False)
    return FirstPackets(times.complete(), encrypted, rotation, mirrored)


class _Times:
    """Collects the PTS of packets whose frames will be shown."""

    def __init__(self) -> None:
        self._pts: list[int] = []
        self._last_dts = 0
        self._keyframe: int | None = None

    def add(self, packet: av.Packet[av.VideoStream]) -> None:
        time = packet.dts if packet.pts is None else packet.pts
        if time is None:
            return
        self._last_dts = packet.dts or self._last_dts
        if self._keyframe is None and packet.is_keyframe:
            # Frames before the first keyframe cannot be decoded.
            self._keyframe = time
            self._pts.clear()
        if not packet.is_discard and (self._keyframe is None or time >= self._keyframe):
            self._pts.append(time)

    def complete(self) -> NDArray[np.int64]:
        """Return the sorted PTS up to the last DTS: no frame in between can come any more."""
        complete = [time for time in self._pts if time <= self._last_dts] or self._pts[:1]
        return np.array(sorted(complete), dtype=np.int64)


def _turn_of_picture(
    stream: av.VideoStream, packet: av.Packet[av.VideoStream]
) -> tuple[int, bool] | None:
    """Return (rotation, mirrored) of the packet's picture, or None when it gives none."""
    decoder = stream.codec_context
    try:
        # Flushing makes a decoder that reorders give its only picture at once.
        frames = [*decoder.decode(packet), *decoder.decode(None)]
    except av.error.FFmpegError:
        frames = []
    decoder.flush_buffers()
    turn = display_turn(frames[0]) if frames else None
    frames.clear()
    gc.collect()  # side data and frame refer to each other
    return turn


def display_turn(frame: av.VideoFrame) -> tuple[int, bool]:
    """Return the frame's (clockwise rotation in degrees, mirrored) by its display matrix."""
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if not isinstance(matrix, SideData):
        return 0, False
    a, b, _, c, d, *_ = struct.unpack("=9i", bytes(matrix)[:36])
    if a * d - b * c < 0:
        return 0, True
    return round(-frame.rotation / 90) * 90 % 360, False


def variable_frame_rate(times: NDArray[np.int64], *, time_base: Fraction) -> bool:
    """Whether frame times are unevenly spaced beyond rounding to ticks or milliseconds.

    Files that once were matroska or flv carry times rounded to milliseconds.

    Args:
        times: Increasing PTS or DTS in ticks, without gaps by reordering. Shape (N,).
        time_base: Seconds per tick.

    Example:
        >>> variable_frame_rate(np.array([0, 33, 67, 100]), time_base=Fraction(1, 1000))
        False
        >>> variable_frame_rate(np.array([0, 33, 67, 133]), time_base=Fraction(1, 1000))
        True
    """
    steps = np.diff(times)
    if len(steps) < 2:
        return False
    middle = float(np.median(steps))
    rounding = max(1.0, float(Fraction(1, 1000) / time_base))
    return bool((np.abs(steps - middle) > min(rounding, 0.5 * middle)).any())
