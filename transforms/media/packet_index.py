"""The packet index: every frame's PTS and every keyframe, from one pass without decoding."""

from __future__ import annotations

import dataclasses

import av
import numpy as np
from numpy.typing import NDArray

from transforms.errors import MediaError
from transforms.media.open_input import open_input, unreadable
from transforms.media.packet_scan import PacketScan, scan_packets
from transforms.media.stored_index import PacketIndex
from transforms.records import VideoFacts

__all__ = ["PacketIndex", "build_packet_index", "numbered_pts", "refuse_truncated"]

_END_OF_TIME = np.iinfo(np.int64).max


def build_packet_index(path: str, facts: VideoFacts, *, keep_prefix: bool = False) -> PacketIndex:
    """Read all packets once, decode none, and return the index. Memory: some bytes per frame.

    Frames that no decoder shows are left out: those hidden by an edit list, VP8's invisible
    frames, and frames shown before the first keyframe.

    Args:
        path: Local file.
        facts: What ``probe`` found in it.
        keep_prefix: Return the index of a truncated file too; ``missing`` says what it lacks.

    Raises:
        MediaError: ``truncated`` when the container promises more than the file holds,
            ``unreadable``, ``not_media``.
    """
    with open_input(path, name=path) as container:
        stream = container.streams[facts.stream_index]
        assert isinstance(stream, av.VideoStream)
        try:
            scan = scan_packets(path, container, stream, facts)
        except (av.error.FFmpegError, OSError) as error:
            raise unreadable(path, "the packets", error) from error
    if not _shown(scan).any():
        raise MediaError(
            "unreadable",
            f"{path}: needed video packets that show a frame, but the stream holds none; remove it",
        )
    index = _timed(scan, facts) if scan.pts_usable else _numbered(scan, facts)
    index = dataclasses.replace(index, missing=scan.missing(facts))
    if not keep_prefix:
        refuse_truncated(index, path)
    return _with_lost(index, scan, facts)


def refuse_truncated(index: PacketIndex, path: str) -> None:
    """Raise ``MediaError`` (``truncated``) when the file lacks what its container promises."""
    if index.missing:
        raise MediaError("truncated", f"{path}: {index.missing}; copy the file again")


def _with_lost(index: PacketIndex, scan: PacketScan, facts: VideoFacts) -> PacketIndex:
    """Return the index with the stretches that damaged and missing packets leave behind.

    No frame is shown before its packet is decoded, so what a damaged or missing packet shows has a
    PTS at or behind the DTS of the packets before it. Later frames build on it up to a keyframe.
    """
    stretches = []
    for number in scan.damaged:
        if not index.pts_usable:
            # Numbers no longer tell which frame is which.
            stretches.append((_end_of_present(index, scan, int(number)), _END_OF_TIME))
            continue
        first = int(scan.dts[number])
        later = np.flatnonzero(index.keyframe_position > number)
        behind = int(index.keyframe_pts[later].min()) if len(later) else _END_OF_TIME
        stretches.append((first, behind))
    if scan.broken < index.num_packets:
        stretches.append((_end_of_present(index, scan, scan.broken), _END_OF_TIME))
    elif index.missing:
        stretches.append((_end_of_present(index, scan, index.num_packets), _END_OF_TIME))
    lost = np.array(sorted(stretches), dtype=np.int64).reshape(-1, 2)
    return dataclasses.replace(index, lost_pts=lost)


def _end_of_present(index: PacketIndex, scan: PacketScan, num_packets: int) -> int:
    """Return the PTS from which on a packet behind the first ``num_packets`` may show a frame."""
    if not num_packets:
        return int(index.pts[0])
    if index.pts_usable:
        return int(scan.dts[num_packets - 1]) + 1
    # Frames that were held back come out too early; packed ones wait for the next packet.
    return int(index.pts[max(0, min(num_packets, len(index.pts)) - scan.reorders - 1)])


def _shown(scan: PacketScan) -> NDArray[np.bool_]:
    """Return which packets show a frame that can be decoded. Shape (N,)."""
    shown = scan.shown.copy()
    if scan.pts_usable and len(scan.pts):
        first = scan.keyframes[0] if len(scan.keyframes) else 0
        shown[:first] = False
        # Frames shown before the first keyframe need frames that the file does not hold.
        shown &= scan.pts >= scan.pts[first]
    return shown


def _timed(scan: PacketScan, facts: VideoFacts) -> PacketIndex:
    """Return the index of a stream whose packets tell the frames' PTS."""
    keys = scan.keyframes if len(scan.keyframes) else np.zeros(1, dtype=np.int64)
    shown = _shown(scan)
    pts = np.sort(scan.pts[shown])
    order = np.argsort(scan.pts[keys], kind="stable")
    keys = keys[order]
    last = int(np.flatnonzero(shown)[np.argmax(scan.pts[shown])])
    return PacketIndex(
        pts=pts,
        keyframe_pts=scan.pts[keys],
        keyframe_dts=scan.dts[keys],
        keyframe_seek=_seek_targets(scan, facts, keys),
        keyframe_position=keys,
        end_pts=int(pts[-1]) + (int(scan.duration[last]) or _frame_ticks(pts, facts)),
        first_packet_is_keyframe=bool(len(scan.keyframes) and scan.keyframes[0] == 0),
        pts_usable=True,
        num_packets=len(scan.pts),
    )


def _seek_targets(
    scan: PacketScan, facts: VideoFacts, keys: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return what ``container.seek`` must be given to land on each keyframe and not behind it.

    FFmpeg compares a target with DTS (a PTS lands late in MPEG-TS), but in matroska with the PTS
    of the cues. In mp4 it first subtracts the stream's first distance from DTS to PTS, and steps
    back from an open HEVC GOP unless the target reaches its PTS: so the PTS is given there, as
    far as it does not reach the next keyframe.
    """
    if facts.container == "matroska":
        return scan.pts[keys]
    if facts.container not in ("mp4", "mov"):
        return scan.dts[keys]
    distance = scan.pts[0] - scan.dts[0]
    behind = np.append(scan.dts[keys[1:]] + distance - 1, np.iinfo(np.int64).max)
    targets = np.minimum(scan.pts[keys], np.maximum(behind, scan.dts[keys]))
    return targets.astype(np.int64)


def _frame_ticks(pts: NDArray[np.int64], facts: VideoFacts) -> int:
    """Return a frame's usual duration in ticks, at least 1."""
    if len(pts) > 1:
        return int(np.median(np.diff(pts)))
    return max(1, round(1 / (facts.average_rate * facts.time_base)))


def _numbered(scan: PacketScan, facts: VideoFacts) -> PacketIndex:
    """Return the index of a stream whose frames get their PTS from their number."""
    num_frames = int(scan.shown.sum())
    start = np.array([facts.first_pts], dtype=np.int64)
    return PacketIndex(
        pts=np.array([numbered_pts(n, facts) for n in range(num_frames)], dtype=np.int64),
        keyframe_pts=start,
        keyframe_dts=start,
        keyframe_seek=start,
        keyframe_position=np.zeros(1, dtype=np.int64),
        end_pts=numbered_pts(num_frames, facts),
        first_packet_is_keyframe=bool(len(scan.keyframes) and scan.keyframes[0] == 0),
        pts_usable=False,
        num_packets=len(scan.pts),
    )


def numbered_pts(number: int, facts: VideoFacts) -> int:
    """Return the PTS that frame ``number`` gets where packets do not tell it, in ticks."""
    return facts.first_pts + round(number / (facts.average_rate * facts.time_base))
