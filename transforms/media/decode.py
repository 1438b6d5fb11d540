"""Decode a span of a video: exactly its frames, in presentation order, in one forward pass."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from itertools import chain

import av
import numpy as np

from transforms.errors import MediaError
from transforms.media.open_input import open_input
from transforms.media.packet_index import PacketIndex, numbered_pts
from transforms.records import VideoFacts

_LOST_WHEN_NUMBERED = 2
"""Frames that may be missing at the end where packets do not tell the frames (packed B-frames end
with packets that hold none)."""


@dataclass
class DecodeCounters:
    """What decoding cost."""

    num_decoded: int = 0
    """Frames that came out of a decoder, those before a span included."""
    num_restarts: int = 0
    """Seeks that landed too late and were repeated further back."""
    seconds: float = field(default=0.0, compare=False)
    """Processor time in decoders."""


def decode_frames(  # noqa: PLR0913 - all by name
    path: str,
    facts: VideoFacts,
    index: PacketIndex,
    *,
    start_pts: int,
    end_pts: int,
    counters: DecodeCounters,
    deblocks_all: bool = True,
) -> Iterator[av.VideoFrame]:
    """Yield every frame with ``start_pts <= pts < end_pts`` once, in presentation order.

    The decoder is given the stream's first packet (it may hold parameters that no later one has),
    then decoding starts at the last keyframe at or before the first wanted frame. If that frame is
    not the first to come out of the span, or damaged, decoding starts over one keyframe further
    back, at last from the beginning. Within the first GOP nothing is sought. Reading stops with
    the last wanted frame.

    Where ``index.pts_usable`` is false, frames are taken in the order in which the decoder gives
    them, always from the beginning, and their PTS is set from their number.

    Args:
        path: Local file.
        facts: What ``probe`` found in it.
        index: Its packet index.
        start_pts: First PTS of the span in ticks.
        end_pts: PTS behind the span in ticks.
        counters: Counts what was decoded; added to.
        deblocks_all: False: up to a tenth cheaper; frames from which no other one is predicted keep
            the edges of their blocks.

    Raises:
        MediaError: ``decode_error`` (the decoder failed), ``truncated`` (fewer frames than the
            index promises), ``frame_size_change``, ``corrupt_frame``, ``unreadable``.
    """
    opened, span = _Source(path, facts, counters, deblocks_all), (start_pts, end_pts)
    decoded = _timed_frames if index.pts_usable else _numbered_frames
    for frame in decoded(opened, index, span=span):
        _check(frame, facts, path)
        yield frame


@dataclass(frozen=True, slots=True)
class _Source:
    """What is decoded and how; see ``decode_frames``."""

    path: str
    facts: VideoFacts
    counters: DecodeCounters
    deblocks_all: bool


def _timed_frames(
    opened: _Source, index: PacketIndex, *, span: tuple[int, int]
) -> Iterator[av.VideoFrame]:
    """Yield the frames of ``span``, each with the PTS that the index promises next."""
    wanted = index.pts[slice(*np.searchsorted(index.pts, span))]
    if not len(wanted):
        return
    entry = max(0, int(np.searchsorted(index.keyframe_pts, wanted[0], side="right")) - 1)
    step = 1
    while True:
        source = _frames_from(opened, index, keyframe=entry)
        first = _first_at_or_after(source, int(wanted[0]), may_fail=entry > 0)
        if entry == 0 or (first and first.pts == wanted[0] and not first.is_corrupt):
            break
        opened.counters.num_restarts += 1
        source.close()
        entry, step = max(0, entry - step), step * 2
    position = 0
    for frame in chain([first] if first is not None else [], source):
        if frame.pts is None:
            continue
        if frame.pts != wanted[position]:
            raise _unexpected(
                opened.path, int(wanted[position]), frame.pts, missing=len(wanted) - position
            )
        yield frame
        position += 1
        if position == len(wanted):
            source.close()
            return
    raise _unexpected(opened.path, int(wanted[position]), None, missing=len(wanted) - position)


def _first_at_or_after(
    source: Iterator[av.VideoFrame], pts: int, *, may_fail: bool
) -> av.VideoFrame | None:
    """Return the first frame not before ``pts``; None when there is none or decoding failed.

    Args:
        source: Decoded frames; those before ``pts`` are used up.
        pts: Ticks.
        may_fail: Whether decoding can start further back, so that a failure is no news yet.
    """
    try:
        for frame in source:
            if frame.pts is not None and frame.pts >= pts:
                return frame
    except MediaError:
        if not may_fail:
            raise
    return None


def _numbered_frames(
    opened: _Source, index: PacketIndex, *, span: tuple[int, int]
) -> Iterator[av.VideoFrame]:
    """Yield the frames of ``span`` in the decoder's order, PTS by number, from the beginning."""
    first, behind = (int(number) for number in np.searchsorted(index.pts, span))
    number = 0
    if first >= behind:
        return
    source = _frames_from(opened, index, keyframe=0)
    for number, frame in enumerate(source):
        if number >= first:
            frame.pts = numbered_pts(number, opened.facts)
            yield frame
        if number + 1 == behind:
            source.close()
            return
    missing = behind - (number + 1)
    if missing > _LOST_WHEN_NUMBERED:
        pts = numbered_pts(number + 1, opened.facts)
        raise _unexpected(opened.path, pts, None, missing=missing)


def _frames_from(opened: _Source, index: PacketIndex, *, keyframe: int) -> Generator[av.VideoFrame]:
    """Yield what the decoder gives from keyframe number ``keyframe`` on; 0: from the beginning."""
    path, counters = opened.path, opened.counters
    with open_input(path, name=path) as container:
        stream = container.streams[opened.facts.stream_index]
        assert isinstance(stream, av.VideoStream)
        stream.codec_context.thread_type = "NONE"
        stream.codec_context.thread_count = 1
        if not opened.deblocks_all:
            stream.codec_context.options = {"skip_loop_filter": "noref"}
        try:
            for packet in _packets(container, stream, index, keyframe=keyframe):
                started = time.thread_time()
                frames = stream.codec_context.decode(packet)
                counters.seconds += time.thread_time() - started
                for frame in frames:
                    counters.num_decoded += 1
                    yield frame
        except (av.error.FFmpegError, OSError) as error:
            raise MediaError(
                "decode_error",
                f"{path}: the decoder failed after {counters.num_decoded} frames of this pass: "
                f"{error}; the file is damaged there: repair or remove it",
            ) from error


def _packets(
    container: av.container.InputContainer,
    stream: av.VideoStream,
    index: PacketIndex,
    *,
    keyframe: int,
) -> Iterator[av.Packet[av.VideoStream] | None]:
    """Yield the packets to decode, then None for the end."""
    packets = container.demux(stream)
    if keyframe > 0:
        yield next(packets)
        # The seek also flushes the decoder: it keeps the stream's parameters and forgets the
        # picture order, which would otherwise mix the first frame into an open GOP.
        seek_by = int(index.keyframe_seek[keyframe])
        container.seek(seek_by, stream=stream, backward=True, any_frame=False)
        packets = container.demux(stream)
    for packet in packets:
        if packet.size == 0:
            break
        if packet.pts is None:
            packet.pts = packet.dts
        yield packet
    yield None


def _check(frame: av.VideoFrame, facts: VideoFacts, path: str) -> None:
    """Raise ``MediaError`` when the frame is damaged or of another size than the video."""
    if (frame.width, frame.height) != (facts.width, facts.height):
        raise MediaError(
            "frame_size_change",
            f"{path}: needed frames of {facts.width}x{facts.height} as the header says, got "
            f"{frame.width}x{frame.height} at PTS {frame.pts}; re-encode the video to one size",
        )
    if frame.is_corrupt:
        raise MediaError(
            "corrupt_frame",
            f"{path}: the decoder marks the frame at PTS {frame.pts} as damaged; "
            "repair or remove the file",
        )


def _unexpected(path: str, wanted: int, got: int | None, *, missing: int) -> MediaError:
    if got is None:
        return MediaError(
            "truncated",
            f"{path}: the packets promise {missing} more frames from PTS {wanted} on, but decoding "
            "ended; the file is damaged or cut off: copy it again",
        )
    return MediaError(
        "decode_error",
        f"{path}: needed the frame at PTS {wanted}, the decoder gave PTS {got}; "
        "the file is damaged there: repair or remove it",
    )
