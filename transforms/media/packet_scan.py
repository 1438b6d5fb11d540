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


class _Packets:
    """Gathers what the packets of one stream say, in decode order."""

    def __init__(self, facts: VideoFacts, chain_ends: int | None) -> None:
        self._facts = facts
        self._chain_ends = chain_ends
        self.pts, self.dts, self.duration = array("q"), array("q"), array("q")
        self.shown, self.key = bytearray(), bytearray()
        self.damaged, self.positions = array("q"), array("q")
        self.broken = 0
        """As in ``PacketScan``."""
        self.is_packed = False
        """Whether the first packet carries the mark of packed B-frames."""

    def add(self, packet: av.Packet[Any]) -> None:
        """Take the stream's next packet."""
        codec = self._facts.codec
        if not self.pts and codec == "mpeg4":
            self.is_packed = bool(_PACKED_B_FRAMES.search(bytes(packet)))
        if self._chain_ends is None or packet.pos is None or packet.pos < self._chain_ends:
            self.broken = len(self.pts) + 1
        self.positions.append(packet.pos or 0)
        if packet.is_corrupt:
            self.damaged.append(len(self.pts))
        invisible = is_invisible(packet, codec)
        self.pts.append(_NO_TIME if packet.pts is None else packet.pts)
        self.dts.append(_NO_TIME if packet.dts is None else packet.dts)
        self.duration.append(packet.duration or 0)
        self.shown.append(not invisible and not packet.is_discard)
        self.key.append(not invisible and packet.is_keyframe)

    def all_damaged(self, path: str) -> NDArray[np.int64]:
        """Return the numbers of the damaged packets, those behind lost bytes of MPEG-TS too."""
        damaged = np.array(self.damaged, dtype=np.int64)
        if self.pts and self._facts.container == "mpegts":
            positions = np.array(self.positions, dtype=np.int64)
            losses = np.searchsorted(positions, sync_losses(path)) - 1
            damaged = np.concatenate([damaged, np.maximum(losses, 0)])
        return np.unique(damaged)


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
    packed = bool(_PACKED_B_FRAMES.search(stream.codec_context.extradata or b""))
    reorders = stream.codec_context.has_b_frames
    packets = _Packets(facts, broken_at(path, facts.container))
    end_seconds = 0.0
    for packet in container.demux():
        if packet.size == 0:
            continue
        end_seconds = max(end_seconds, _end_seconds(packet))
        if packet.stream_index == facts.stream_index:
            packets.add(packet)
    dts = np.array(packets.dts, dtype=np.int64)
    shown = np.array(packets.shown, dtype=np.bool_)
    best, usable = _presentation(
        np.array(packets.pts, dtype=np.int64),
        dts,
        shown,
        avi=facts.container == "avi",
        reorders=reorders,
    )
    return PacketScan(
        pts=best,
        dts=np.where(dts == _NO_TIME, best, dts),
        duration=np.array(packets.duration, dtype=np.int64),
        shown=shown,
        keyframes=np.flatnonzero(np.array(packets.key, dtype=np.bool_)),
        pts_usable=usable and not packed and not packets.is_packed,
        index=index,
        # Muxers state the duration from time 0 or from the first packet: the milder counts.
        end_seconds=end_seconds - min(0.0, (container.start_time or 0) / av.time_base),
        file_size=container.size,
        reorders=int(reorders),
        broken=packets.broken,
        damaged=packets.all_damaged(path),
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
