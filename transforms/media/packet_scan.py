"""One pass over a video stream's packets: their times, keyframes, and what the header promised."""

from __future__ import annotations

import re
from array import array
from dataclasses import dataclass
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from transforms.media.container_index import IndexEntries
from transforms.media.file_chain import broken_at
from transforms.media.file_end import cut_off
from transforms.media.transport_sync import sync_losses
from transforms.media.vp8_frames import is_invisible
from transforms.records import VideoFacts

_NO_TIME = np.iinfo(np.int64).min
_PACKED_B_FRAMES = re.compile(rb"DivX\d+(?:b|Build)\d+p")
"""Mark of encoders that put two frames into one AVI packet (MPEG-4 user data)."""
_STATE_DURATION = ("mp4", "mov", "matroska", "flv")
"""Containers whose header states a duration; elsewhere FFmpeg estimates it from the file."""
_LATE_SHARE = 0.05
_LATE_SECONDS = 1.0
"""A stated duration may exceed the last packet's end by this much before it counts as cut off."""


@dataclass(frozen=True)
class PacketScan:
    """What the packets of one stream say, in decode order; arrays have shape (N,)."""

    pts: NDArray[np.int64]
    """Ticks; DTS where a packet has no PTS and frames are not reordered."""
    dts: NDArray[np.int64]
    """Ticks; PTS where a packet has no DTS."""
    duration: NDArray[np.int64]
    """Ticks; 0 when unknown."""
    shown: NDArray[np.bool_]
    """Whether the packet shows a frame: not hidden by an edit list, not VP8's invisible kind."""
    keyframes: NDArray[np.int64]
    """Numbers of the packets that start a GOP, hidden ones too. Shape (K,)."""
    pts_usable: bool
    """Whether ``pts`` are the frames' presentation times."""
    index: IndexEntries
    """The container's index before reading."""
    end_seconds: float
    """Latest end of any stream's packets, counted from time 0 or from an earlier start."""
    file_size: int
    reorders: int
    """Frames that the decoder holds back to put them in order."""
    broken: int
    """Packets before the first one behind a break in the file's chain; all when there is none."""
    damaged: NDArray[np.int64]
    """Numbers of the packets that are incomplete or behind which others are missing."""
    cut_off: str
    """How the file's size shows that its end is missing (see ``file_end``); or ""."""

    def missing(self, facts: VideoFacts) -> str:
        """Return what the container promises and the file lacks, as half a sentence; or "".

        Sizes are exact. Durations are rounded, and those of other streams, so they only count by
        far, where no size is stated.
        """
        listed = facts.header_frames > 0
        if facts.container in ("mp4", "mov") and listed:
            return self._missing_from_table()
        if self.cut_off:
            return self.cut_off
        if facts.container == "avi" and listed:
            # Dropped frames have no packet, but the next one's DTS counts them.
            reached = round((int(self.dts[-1]) + 1) * facts.average_rate * facts.time_base)
            if max(reached, len(self.pts)) < facts.header_frames - 1:
                return f"the header promises {facts.header_frames} frames, got {len(self.pts)}"
        if facts.container in _STATE_DURATION:
            return self._missing_time(facts.duration_seconds)
        return ""

    def _missing_from_table(self) -> str:
        if len(self.index) > len(self.pts):
            return f"the header promises {len(self.index)} frames, got {len(self.pts)}"
        if self.index.end_of_data > self.file_size > 0:
            return (
                f"the header promises data up to byte {self.index.end_of_data}, "
                f"the file has {self.file_size}"
            )
        return ""

    def _missing_time(self, stated: float) -> str:
        if stated - self.end_seconds <= max(_LATE_SECONDS, _LATE_SHARE * stated):
            return ""
        return f"the header promises {stated:.3f} s, the packets end at {self.end_seconds:.3f} s"


def scan_packets(
    path: str,
    container: av.container.InputContainer,
    stream: av.VideoStream,
    facts: VideoFacts,
) -> PacketScan:
    """Read all packets of the file at ``path`` and return what those of ``stream`` say.

    Raises:
        av.error.FFmpegError: The file cannot be read on.
    """
    index = IndexEntries.of(stream)
    extradata = stream.codec_context.extradata or b""
    packed = bool(_PACKED_B_FRAMES.search(extradata))
    reorders = stream.codec_context.has_b_frames
    pts, dts, duration = array("q"), array("q"), array("q")
    shown, key = bytearray(), bytearray()
    damaged, positions = array("q"), array("q")
    end_seconds = 0.0
    broken, chain_ends = 0, broken_at(path, facts.container)
    for packet in container.demux():
        if packet.size == 0:
            continue
        end_seconds = max(end_seconds, _end_seconds(packet))
        if packet.stream_index != facts.stream_index:
            continue
        if not pts and facts.codec == "mpeg4":
            packed = packed or bool(_PACKED_B_FRAMES.search(bytes(packet)))
        if chain_ends is None or packet.pos is None or packet.pos < chain_ends:
            broken = len(pts) + 1
        positions.append(packet.pos or 0)
        if packet.is_corrupt:
            damaged.append(len(pts))
        invisible = is_invisible(packet, facts.codec)
        pts.append(_NO_TIME if packet.pts is None else packet.pts)
        dts.append(_NO_TIME if packet.dts is None else packet.dts)
        duration.append(packet.duration or 0)
        shown.append(not invisible and not packet.is_discard)
        key.append(not invisible and packet.is_keyframe)
    if pts and facts.container == "mpegts":
        losses = np.searchsorted(np.array(positions, dtype=np.int64), sync_losses(path)) - 1
        damaged.extend(int(number) for number in np.maximum(losses, 0))
    times = np.array(pts, dtype=np.int64), np.array(dts, dtype=np.int64)
    visible_packets = np.array(shown, dtype=np.bool_)
    best, usable = _presentation(
        *times, visible_packets, avi=facts.container == "avi", reorders=reorders
    )
    return PacketScan(
        pts=best,
        dts=np.where(times[1] == _NO_TIME, best, times[1]),
        duration=np.array(duration, dtype=np.int64),
        shown=visible_packets,
        keyframes=np.flatnonzero(np.array(key, dtype=np.bool_)),
        pts_usable=usable and not packed,
        index=index,
        # Muxers state the duration from time 0 or from the first packet: the milder counts.
        end_seconds=end_seconds - min(0.0, (container.start_time or 0) / av.time_base),
        file_size=container.size,
        reorders=int(reorders),
        broken=broken,
        damaged=np.unique(np.array(damaged, dtype=np.int64)),
        cut_off=cut_off(path, facts.container),
    )


def _end_seconds(packet: av.Packet[Any]) -> float:
    time = packet.dts if packet.pts is None else packet.pts
    if time is None:
        return 0.0
    return float((time + (packet.duration or 0)) * packet.time_base)


def _presentation(
    pts: NDArray[np.int64],
    dts: NDArray[np.int64],
    shown: NDArray[np.bool_],
    *,
    avi: bool,
    reorders: bool,
) -> tuple[NDArray[np.int64], bool]:
    """Return (presentation times, whether they can be trusted)."""
    no_pts = pts == _NO_TIME
    if no_pts.any():
        if reorders or (dts == _NO_TIME).any():
            return pts, False
        pts = np.where(no_pts, dts, pts)
    visible = pts[shown]
    in_order = bool((np.diff(visible) > 0).all())
    if avi and reorders and in_order and len(visible) > 1:
        # AVI stores no PTS. Increasing ones for a stream that reorders are DTS in disguise.
        return pts, False
    return pts, in_order or len(np.unique(visible)) == len(visible)
