"""Which packets of a source may become a clip as they are: whole frames of its span, no others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from transforms.errors import MediaError
from transforms.media.cut_plan import ClipPlan
from transforms.media.nal_units import decoder_hints, is_clean_entry
from transforms.media.open_input import open_input, unreadable
from transforms.media.packet_index import PacketIndex
from transforms.media.tone_map import HDR_TRANSFERS
from transforms.records import VideoFacts

CODECS_OF_MP4 = ("h264", "hevc", "av1", "vp9", "mpeg4")
"""What players and trainers read from mp4."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """The packets of a clip."""

    pts: tuple[int, ...]
    """Of each packet, in decode order, in ticks of the source; the first is a keyframe's."""
    entry: int
    """Number of the keyframe that reading began at."""
    hints: bytes
    """What a decoder needs in front of the first packet, see ``decoder_hints``."""


def copy_problem(facts: VideoFacts, index: PacketIndex, *, keep_hdr: bool) -> str | None:
    """Return why no clip of a video can be copied, with the way on; None: clips can."""
    way_on = "take another transcode_encoder for this video"
    if facts.codec not in CODECS_OF_MP4:
        fitting = ", ".join(CODECS_OF_MP4)
        return f"{facts.codec} does not fit into mp4 (what does: {fitting}); {way_on}"
    if facts.rotation_degrees:
        turn = f"its picture is stored turned by {facts.rotation_degrees} degrees"
        return f"{turn}, and copying cannot turn it; {way_on}"
    if facts.color[2] in HDR_TRANSFERS and not keep_hdr:
        hdr = f"its dynamic range is high ({facts.color[2]})"
        return f"{hdr}, and copying cannot tone-map it; add --keep_hdr, or {way_on}"
    if not index.pts_usable:
        return f"its packets do not tell when their frames are shown; {way_on}"
    return None


def find_stretch(
    source: Path, facts: VideoFacts, index: PacketIndex, plan: ClipPlan
) -> Stretch | None:
    """Return the packets of a clip; None: no keyframe that a clip can begin with lies in its span.

    They begin at the first clean keyframe at or after the span's start and end before the first
    packet, in decode order, of a frame that is not the span's. Frames that are shown before the
    keyframe but stored behind it (of an open GOP) are left out.

    Raises:
        MediaError: ``unreadable``; ``not_copyable``: the codec's parameters change in the span.
    """
    wanted = index.pts[plan.first : plan.first + plan.num_frames]
    entry = int(np.searchsorted(index.keyframe_pts, wanted[0]))
    if entry == len(index.keyframe_pts) or index.keyframe_pts[entry] > wanted[-1]:
        return None
    frames = {int(pts): number for number, pts in enumerate(wanted)}
    found: list[int] = []
    for packet, pts in packets_from(source, facts, index, entry=entry):
        if not found:
            if packet.dts is not None and packet.dts > wanted[-1]:
                return None
            if pts in frames and packet.is_keyframe and _is_clean(packet, facts):
                found.append(pts)
        elif pts > found[0]:
            if pts not in frames:
                break
            found.append(pts)
    if not found:
        return None
    shown = [int(pts) for pts in wanted[frames[found[0]] :]]
    hints = b"" if found[0] == index.pts[0] else _hints(source, facts)
    return Stretch(tuple(found[: whole_prefix(found, shown)]), entry, hints)


def _hints(source: Path, facts: VideoFacts) -> bytes:
    with open_input(str(source), name=source.name) as container:
        stream = container.streams[facts.stream_index]
        assert isinstance(stream, av.VideoStream)
        packet = next(_demuxed(container, stream, source))
        return decoder_hints(bytes(packet), facts.codec, stream.codec_context.extradata or b"")


def whole_prefix(stored: Sequence[int], shown: Sequence[int]) -> int:
    """Return how many of the first stored frames make a beginning of the shown ones, the most.

    A decoder needs, for a frame, at most what is stored before it: so all frames of such a
    beginning decode, and none between them is missing.

    Args:
        stored: PTS in decode order, all of them among ``shown``.
        shown: PTS in order.

    Example:
        >>> whole_prefix([0, 3, 1, 2, 6, 4], [0, 1, 2, 3, 4, 5, 6])
        4
    """
    rank = {pts: number for number, pts in enumerate(shown)}
    most, largest = 0, -1
    for count, pts in enumerate(stored, 1):
        largest = max(largest, rank[pts])
        if largest + 1 == count:
            most = count
    return most


def packets_from(
    source: Path, facts: VideoFacts, index: PacketIndex, *, entry: int
) -> Iterator[tuple[av.Packet[av.VideoStream], int]]:
    """Yield the packets of the video stream from keyframe number ``entry`` on, each with its PTS.

    In decode order. Where the container's index leads behind the keyframe, the file is read from
    its beginning.

    Raises:
        MediaError: ``unreadable``; ``not_copyable``: the codec's parameters change on the way.
    """
    first_pts, first_dts = int(index.keyframe_pts[entry]), int(index.keyframe_dts[entry])
    for seeks in (True, False) if index.keyframe_position[entry] else (False,):
        with open_input(str(source), name=source.name) as container:
            stream = container.streams[facts.stream_index]
            assert isinstance(stream, av.VideoStream)
            if seeks:
                container.seek(int(index.keyframe_seek[entry]), stream=stream, backward=True)
            begun = False
            for packet in _demuxed(container, stream, source):
                pts = packet.pts if packet.pts is not None else packet.dts
                begun = begun or (pts == first_pts and packet.is_keyframe)
                if not begun and seeks and packet.dts is not None and packet.dts > first_dts:
                    break
                if begun and pts is not None:
                    yield packet, pts
            if begun:
                return


def _demuxed(
    container: av.container.InputContainer, stream: av.VideoStream, source: Path
) -> Iterator[av.Packet[av.VideoStream]]:
    try:
        for packet in container.demux(stream):
            if packet.has_sidedata("new_extradata"):
                raise MediaError(
                    "not_copyable",
                    f"{source}: the parameters of its codec change at PTS {packet.pts}; take "
                    "another transcode_encoder for this video",
                )
            if packet.size:
                yield packet
    except (av.error.FFmpegError, OSError) as error:
        raise unreadable(source.name, "the packets", error) from error


def _is_clean(packet: av.Packet[av.VideoStream], facts: VideoFacts) -> bool:
    extradata = packet.stream.codec_context.extradata or b""
    return is_clean_entry(bytes(packet), facts.codec, extradata)
