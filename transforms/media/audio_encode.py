"""Sound of any codec, decoded and encoded to AAC for a clip."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import av.container
import numpy as np
from av.audio.layout import AudioLayout
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.codec.context import Flags
from numpy.typing import NDArray

from transforms.errors import MediaError
from transforms.media.audio_packet import AudioPacket
from transforms.media.open_input import open_input

BIT_RATE_PER_CHANNEL = 64_000
"""Bits per second; less where the sample rate is too low for it."""
_BITS_PER_SAMPLE = 4
"""AAC holds at most 6 bits per sample and channel."""
_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
_LAYOUTS = ("mono", "stereo", "3.0", "4.0", "5.0", "5.1", "7.1")


def encode_to_aac(
    container: av.container.OutputContainer,
    source: Path,
    items: Iterator[AudioPacket],
    *,
    start: Fraction,
    end: Fraction,
) -> Iterator[av.Packet]:
    """Add an AAC stream to a clip's file; return the packets for it, made while asked for.

    The sample heard at the clip's time 0 is the source's sample at ``start``, to half a sample.
    Where the source has no sound, or a packet is broken, there is silence. The same packets make
    the same bytes: decoder and encoder are fresh for every clip.

    Args:
        container: The clip's file, nothing muxed yet.
        source: The file that the packets come from.
        items: Packets of its best audio stream, in order, beginning with a preroll.
        start: Source time in seconds that is time 0 of the clip.
        end: Source time in seconds at which the sound stops.

    Raises:
        MediaError: ``audio_not_supported``: there is no decoder; ``not_media`` or ``unreadable``.
    """
    # Only an opened file gives a decoder with all its parameters.
    with open_input(str(source), name=source.name) as opened:
        stream = opened.streams.best("audio")
        assert isinstance(stream, AudioStream)
        decoder = stream.codec_context
        decoder.thread_type, decoder.thread_count = "NONE", 1
    rate = decoder.sample_rate
    out_rate = rate if rate in _RATES else 48000
    layout = decoder.layout.name if decoder.layout.name in _LAYOUTS else "stereo"
    out = container.add_stream("aac", rate=out_rate)
    assert isinstance(out, AudioStream)
    encoder = out.codec_context
    encoder.layout = layout
    channels = encoder.layout.nb_channels
    encoder.bit_rate = channels * min(BIT_RATE_PER_CHANNEL, _BITS_PER_SAMPLE * out_rate)
    # Without it the encoder signs its streams with FFmpeg's version.
    encoder.flags |= Flags.bitexact
    frames = _decoded(decoder, items, source=source)
    num_samples = round((end - start) * rate)
    blocks = _from_zero(frames, rate=rate, layout=layout, start=start, num_samples=num_samples)
    return _encoded(out, blocks, rate=rate, layout=layout)


def _decoded(
    decoder: av.AudioCodecContext, items: Iterator[AudioPacket], *, source: Path
) -> Iterator[tuple[Fraction, av.AudioFrame]]:
    """Yield source time in seconds and frame; a packet that does not decode yields nothing."""
    for item in items:
        if item.packet.is_discard:
            continue
        try:
            frames = decoder.decode(item.packet)
        except av.InvalidDataError:
            continue  # Silence stands in for it, as in every player.
        except av.FFmpegError as error:
            raise MediaError(
                "audio_not_supported",
                f"{source.name}: its sound ({decoder.name}) could not be decoded: "
                f"{error.strerror}; convert the sound to AAC first",
            ) from error
        time = item.start
        for frame in frames:
            if frame.pts is not None and frame.time_base:
                time = frame.pts * frame.time_base
            yield time, frame
            time += Fraction(frame.samples, frame.sample_rate)


def _from_zero(
    frames: Iterator[tuple[Fraction, av.AudioFrame]],
    *,
    rate: int,
    layout: str,
    start: Fraction,
    num_samples: int,
) -> Iterator[NDArray[np.float32]]:
    """Yield blocks (channels, samples) that lie end to end from the sample at ``start``.

    Gaps are filled with silence, overlaps cut. At most ``num_samples`` come in all; fewer when the
    source's sound ends before.
    """
    convert = _Converter(rate=rate, layout=layout)
    cursor: int | None = None
    for time, frame in frames:
        position = round((time - start) * rate)
        # Container times may be rounded to milliseconds; sound that fits within that is whole.
        slack = int(2 * (frame.time_base or 0) * rate) + 1
        cursor = min(position, 0) if cursor is None else cursor
        block = convert(frame)
        if position - cursor > slack:
            silence = np.zeros((block.shape[0], position - cursor), np.float32)
            block = np.concatenate([silence, block], axis=1)
        elif cursor - position > slack:
            block = block[:, cursor - position :]
        visible = block[:, max(0, -cursor) : max(0, num_samples - cursor)]
        cursor += block.shape[1]
        if visible.shape[1]:
            yield visible
        if cursor >= num_samples:
            return


class _Converter:
    """Turns decoded frames into float blocks (channels, samples) of one rate and layout."""

    def __init__(self, *, rate: int, layout: str) -> None:
        self._rate, self._layout = rate, layout
        self._source: tuple[str, str, int] | None = None

    def __call__(self, frame: av.AudioFrame) -> NDArray[np.float32]:
        source = (frame.format.name, frame.layout.name, frame.sample_rate)
        if source != self._source:
            self._resampler = AudioResampler("fltp", self._layout, self._rate)
            self._source = source
        frame.pts = None  # Times are kept by the caller.
        blocks = [block.to_ndarray() for block in self._resampler.resample(frame)]
        channels = AudioLayout(self._layout).nb_channels
        return np.concatenate([np.zeros((channels, 0), np.float32), *blocks], axis=1)


def _encoded(
    out: AudioStream, blocks: Iterator[NDArray[np.float32]], *, rate: int, layout: str
) -> Iterator[av.Packet]:
    """Yield the AAC packets of ``blocks``."""
    position = 0
    for block in blocks:
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block), "fltp", layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, position, Fraction(1, rate)
        position += block.shape[1]
        yield from out.encode(frame)
    if position:
        yield from out.encode(None)
