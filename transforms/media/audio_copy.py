"""AAC packets of a source, copied into a clip."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import av
import av.container
from av.audio.stream import AudioStream

from transforms.media.audio_packet import AudioPacket


def copy_aac(
    container: av.container.OutputContainer,
    stream: AudioStream,
    items: Iterator[AudioPacket],
    *,
    start: Fraction,
) -> Iterator[av.Packet]:
    """Add an AAC stream to a clip's file; return the packets for it.

    The first packets have negative times where they begin before the clip. The muxer hides them by
    an edit list, so that the first sample heard is the one at the clip's time 0.

    Args:
        container: The clip's file, nothing muxed yet.
        stream: The AAC stream of the source.
        items: Its packets, in order, from one before the clip's start.
        start: Source time in seconds that is time 0 of the clip.
    """
    out = container.add_stream_from_template(stream)
    return _retimed(stream, items, start=start, out=out)


def _retimed(
    stream: AudioStream,
    items: Iterator[AudioPacket],
    *,
    start: Fraction,
    out: AudioStream,
) -> Iterator[av.Packet]:
    assert stream.time_base is not None
    rate, frame_size = stream.codec_context.sample_rate, stream.codec_context.frame_size
    # Times in milliseconds (matroska, flv) jump by half a tick around the true ones; packets that
    # fit end to end within that are laid end to end.
    jitter = int(2 * stream.time_base * rate) + 1
    expected = None
    for item in items:
        if item.packet.is_discard and item.start >= start:
            continue  # The source's own edit list says that it is not heard.
        position = round((item.start - start) * rate)
        if expected is not None and abs(position - expected) <= jitter:
            position = expected
        samples = round((item.end - item.start) * rate)
        if frame_size and abs(samples - frame_size) <= jitter:
            samples = frame_size
        # A copy: muxing changes a packet, and the next clip may need this one again.
        packet = av.Packet(bytes(item.packet))
        packet.stream = out
        packet.time_base = Fraction(1, rate)
        packet.pts = packet.dts = position
        packet.duration = samples
        packet.is_keyframe = True
        yield packet
        expected = position + samples
