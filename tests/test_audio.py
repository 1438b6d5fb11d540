"""The sound of a clip: no offset, no gap, none where the source has none."""

from __future__ import annotations

import functools
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from coded_video import Made, frame_times, make_coded
from sound_oracle import RATE, heard, lag_and_likeness

from transforms.media.cut import CutResult, CutSpan, cut_run
from transforms.media.decode import DecodeCounters
from transforms.media.encode import resolve_encoder
from transforms.media.packet_index import build_packet_index
from transforms.media.probe import probe
from transforms.media.transcode_options import Transcode

X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "12")
BAND = "lowpass=f=3000,highpass=f=200"


def noise(*, rate: int = RATE, seconds: float = 6, delay: float = 0) -> tuple[str, ...]:
    """Return inputs of ffmpeg: noise that no shift of itself resembles."""
    source = f"anoisesrc=seed=7:amplitude=0.8:sample_rate={rate}:duration={seconds},{BAND}"
    return ("-itsoffset", str(delay), "-f", "lavfi", "-i", source)


def video(name: str, codec: str, *, sound: tuple[str, ...] | None = None) -> Made:
    output = (*X264, "-c:a", codec, "-b:a", "128k")
    return Made(name, output, num_frames=150, sound=sound or noise())


COPIED = [
    video("copied.mp4", "aac"),
    video("copied.ts", "aac"),
    video("copied.mkv", "aac"),
    video("copied.flv", "aac", sound=noise(rate=44100)),
    video("delayed.mp4", "aac", sound=noise(delay=0.73)),
]
ENCODED = [
    video("mp3.mp4", "libmp3lame"),
    video("opus.mkv", "libopus"),
    video("vorbis.webm.mkv", "libvorbis", sound=noise(rate=44100)),
    video("pcm.mov", "pcm_s16le", sound=noise(rate=11025)),
    video("odd_rate.mkv", "pcm_s16le", sound=noise(rate=37000)),
    video("ac3.ts", "ac3"),
    video("late.mkv", "libopus", sound=noise(delay=0.73)),
]


@pytest.fixture(scope="module")
def made_with_sound(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Made], Path]:
    """Return a function that makes each video once."""
    folder = tmp_path_factory.mktemp("sound")
    return functools.cache(lambda made: make_coded(folder, made))


def cut(path: Path, spans: list[CutSpan], folder: Path) -> list[CutResult]:
    facts = probe(str(path), name=path.name, num_bytes=path.stat().st_size)
    index = build_packet_index(str(path), facts)
    settings, _ = resolve_encoder(Transcode(transcode_preset="ultrafast"))
    return list(
        cut_run(
            path,
            facts,
            index,
            spans,
            settings=settings,
            folder=folder,
            windows=(256, 128),
            counters=DecodeCounters(),
        )
    )


SPANS = [CutSpan("a", Fraction(0), Fraction(37, 25)), CutSpan("b", Fraction(37, 25), Fraction(3))]
LATER = [CutSpan("c", Fraction(24, 5), Fraction(29, 5))]


@pytest.mark.parametrize("made", [*COPIED, *ENCODED], ids=lambda made: made.name)
def test_sound_starts_where_the_picture_starts(
    made: Made, made_with_sound: Callable[[Made], Path], tmp_path: Path
) -> None:
    path = made_with_sound(made)
    first = frame_times(path)[0]
    # Matroska and flv round times to milliseconds; AAC's edit list does too.
    tolerance = round(0.0011 * RATE) if path.suffix in (".mkv", ".flv") else 2

    for span, result in zip(
        [*SPANS, *LATER], [*cut(path, SPANS, tmp_path), *cut(path, LATER, tmp_path)], strict=True
    ):
        assert result.failure is None
        assert result.path is not None
        seconds = float(span.end - span.start) if span.end else 0.0
        got = heard(result.path, Fraction(0), seconds=seconds)
        wanted = heard(path, first + span.start, seconds=seconds)
        assert np.abs(wanted).max() > 0.1
        lag, likeness = lag_and_likeness(got, wanted)
        assert abs(lag) <= tolerance, lag
        assert likeness > 0.95
        # Right from the first samples: the decoder was given what lies before them.
        begin = int(np.flatnonzero(np.abs(wanted) > 0.01)[0])
        head = slice(begin, begin + RATE // 20)
        assert lag_and_likeness(got[head], wanted[head])[1] > 0.9
        with av.open(str(result.path)) as clip:
            stream = clip.streams.audio[0]
            assert stream.codec_context.name == "aac"
            assert stream.duration is not None
            assert stream.time_base is not None
            assert float(stream.duration * stream.time_base) <= seconds + 0.05


def test_copied_packets_are_the_sources(
    made_with_sound: Callable[[Made], Path], tmp_path: Path
) -> None:
    path = made_with_sound(COPIED[0])

    results = cut(path, SPANS, tmp_path)

    source = packets(path)
    for result in results:
        assert result.path is not None
        copied = packets(result.path)
        start = source.index(copied[0])
        assert copied == source[start : start + len(copied)]
    # Frame 37 begins at 1.48 s, inside packet 69 or 70 (one of 21.3 ms before the first).
    assert abs(source.index(packets(results[1].path)[0]) - 1.48 * RATE / 1024) < 3


def packets(path: Path | None) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]


@pytest.mark.parametrize("codec", ["aac", "libmp3lame"])
def test_no_sound_in_the_span_means_no_audio_stream(
    codec: str, made_with_sound: Callable[[Made], Path], tmp_path: Path
) -> None:
    path = made_with_sound(video(f"short_{codec}.mp4", codec, sound=noise(seconds=2)))
    spans = [
        CutSpan("a", Fraction(0), Fraction(1)),
        CutSpan("b", Fraction(1), Fraction(3)),
        CutSpan("c", Fraction(3), None),
    ]

    streams = []
    for result in cut(path, spans, tmp_path):
        assert result.path is not None
        with av.open(str(result.path)) as clip:
            streams.append([stream.type for stream in clip.streams])

    assert streams == [["video", "audio"], ["video", "audio"], ["video"]]


def test_a_broken_packet_is_silence(
    made_with_sound: Callable[[Made], Path], tmp_path: Path
) -> None:
    path = made_with_sound(ENCODED[0])
    broken = tmp_path / "broken.mp4"
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        found = [packet for packet in container.demux(audio=0) if packet.size][20:24]
    for packet in found:
        assert packet.pos is not None
        data[packet.pos : packet.pos + packet.size] = b"\x00" * packet.size
    broken.write_bytes(data)

    (result,) = cut(broken, [CutSpan("a", Fraction(0), Fraction(3))], tmp_path)

    assert result.path is not None
    got = heard(result.path, Fraction(0), seconds=3)
    wanted = heard(path, Fraction(0), seconds=3)
    behind = slice(round(1.0 * RATE), None)
    lag, likeness = lag_and_likeness(got[behind], wanted[behind])
    assert abs(lag) <= 2
    assert likeness > 0.95
    assert np.abs(got[round(0.53 * RATE) : round(0.55 * RATE)]).max() < 0.05
