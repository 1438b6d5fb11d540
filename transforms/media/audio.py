"""The sound of a clip: AAC packets copied, other codecs encoded to AAC, with zero offset."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import av.container
from av.audio.stream import AudioStream
from av.stream import Discard, Stream

from transforms.errors import MediaError
from transforms.media.audio_copy import copy_aac
from transforms.media.audio_encode import encode_to_aac
from transforms.media.audio_packet import AudioPacket
from transforms.media.open_input import open_input, unreadable

PREROLL_PACKETS = 12
"""Packets kept before the one that overlaps a clip's start. A decoder gives the same samples from
there as from the beginning of the stream."""
COPIED_PREROLL = 1
"""The same for copied AAC: a packet needs its predecessor to be decoded right."""
_MAX_GAP = Fraction(1, 20)
"""Seconds between two packets up to which the earlier one is preroll for the later."""
_SEEK_SECONDS = Fraction(4)
"""How far before a clip reading begins: more than the preroll of common codecs."""


class AudioSource:
    """The best audio stream of one source, read once and forward for clips in order.

    What a clip gets depends on the clip alone, never on the clips before it or on where reading
    began. Times are exact: sound is placed by the source's PTS, not by what packet is near.
    """

    def __init__(self, source: Path, *, start: Fraction, seekable: bool) -> None:
        """Open ``source``.

        Args:
            source: The file.
            start: Source time in seconds where the first clip begins.
            seekable: Whether the container's index can be trusted for seeking; else the file is
                read from its beginning.

        Raises:
            MediaError: The file cannot be opened.
        """
        self._path = source
        self._container = open_input(str(source), name=source.name)
        self._stream = _usable(self._container.streams.best("audio"))
        self._kept: deque[AudioPacket] = deque(maxlen=PREROLL_PACKETS + 6)
        self._sought = False
        self._fault: MediaError | None = None
        if self._stream is None:
            return
        for other in self._container.streams:
            if other.index != self._stream.index:
                other.discard = Discard.all
        if seekable and start > _SEEK_SECONDS:
            self._seek(start - _SEEK_SECONDS)
        self._packets = self._read(self._stream)

    def clip(
        self, container: av.container.OutputContainer, *, start: Fraction, end: Fraction
    ) -> Iterator[av.Packet] | None:
        """Add the sound of ``[start, end)`` to a clip's file; return its packets in order.

        Args:
            container: The clip's file, nothing muxed yet. A stream is added if there is sound.
            start: Source time in seconds that is time 0 of the clip. Calls must be in order and
                the spans disjoint.
            end: Source time in seconds at which the clip's last frame ends.

        Returns:
            The packets to mux, made while they are asked for, or None when no sound lies in the
            span. Copied packets begin up to two packets early, which the file's edit list hides,
            and end less than one packet late.

        Raises:
            MediaError: ``unreadable``; also while the packets are asked for.
        """
        overlapping = self._advance(start)
        if self._stream is None or overlapping is None or self._kept[overlapping].start >= end:
            return None
        if self._stream.codec_context.codec.canonical_name == "aac":
            first = self._preroll(overlapping, COPIED_PREROLL)
            items = self._between(first, end=end)
            return copy_aac(container, self._stream, items, start=start)
        first = self._preroll(overlapping, PREROLL_PACKETS)
        items = self._between(first, end=end)
        return encode_to_aac(container, self._path, items, start=start, end=end)

    def close(self) -> None:
        """Close the file."""
        self._container.close()

    def _seek(self, seconds: Fraction) -> None:
        assert self._stream is not None
        assert self._stream.time_base is not None
        ticks = int(seconds / self._stream.time_base)
        self._container.seek(ticks, stream=self._stream, backward=True)
        self._sought = True

    def _advance(self, start: Fraction) -> int | None:
        """Read up to ``start``; return the index in ``_kept`` of the first packet ending behind it.

        None: there is none. Before that packet its preroll is kept.
        """
        if self._stream is None:
            return None
        if self._fault is not None:
            raise self._fault  # Later clips must not lose their sound in silence.
        while not self._kept or self._kept[-1].end <= start:
            item = next(self._packets, None)
            if item is None:
                return None
            self._kept.append(item)
        overlapping = next(i for i, item in enumerate(self._kept) if item.end > start)
        if self._sought and overlapping < PREROLL_PACKETS:
            # The seek came out too near: read from the beginning, so that the result is the same.
            self._sought = False
            self._kept.clear()
            self._container.seek(0)
            self._packets = self._read(self._stream)
            return self._advance(start)
        return overlapping

    def _preroll(self, overlapping: int, count: int) -> int:
        """Return the index of the first of up to ``count`` packets right before one."""
        first = overlapping
        while first > max(0, overlapping - count):
            if self._kept[first].start - self._kept[first - 1].end > _MAX_GAP:
                break
            first -= 1
        return first

    def _between(self, first: int, *, end: Fraction) -> Iterator[AudioPacket]:
        """Yield packets from the kept one at ``first`` to the last that begins before ``end``."""
        for item in list(self._kept)[first:]:
            if item.start >= end:
                return
            yield item
        while (following := next(self._packets, None)) is not None:
            self._kept.append(following)
            if following.start >= end:
                return
            yield following

    def _read(self, stream: AudioStream) -> Iterator[AudioPacket]:
        assert stream.time_base is not None
        rate, samples = stream.codec_context.sample_rate, stream.codec_context.frame_size
        end = None
        try:
            for packet in self._container.demux(stream):
                if packet.size == 0:
                    continue
                ticks = packet.pts if packet.pts is not None else packet.dts
                start = end if ticks is None else ticks * stream.time_base
                if start is None:
                    continue
                length = (packet.duration or 0) * stream.time_base or Fraction(samples, rate)
                end = start + length
                yield AudioPacket(packet, start, end)
        except (av.FFmpegError, OSError) as error:
            self._fault = unreadable(self._path.name, "the sound", error)
            raise self._fault from error


def _usable(stream: Stream | None) -> AudioStream | None:
    """Return the stream if its codec and rate are known: an empty track has neither."""
    if not isinstance(stream, AudioStream) or stream.codec_context is None:
        return None
    return stream if stream.codec_context.sample_rate > 0 else None
