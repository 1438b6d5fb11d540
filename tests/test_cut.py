"""Cutting: every frame of a span and no other, at its exact time, whatever the source is."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from math import ceil
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np
import pytest
from coded_video import Made, frame_times, keyframe_numbers, make_coded, read_codes
from ffmpeg_oracle import ffmpeg

from transforms.media.clip_form import ClipForm
from transforms.media.cut import CutResult, CutSpan, cut_run
from transforms.media.decode import DecodeCounters
from transforms.media.encode import EncodeSettings, resolve_encoder
from transforms.media.packet_index import PacketIndex, build_packet_index
from transforms.media.probe import probe
from transforms.media.transcode_options import Transcode
from transforms.records import VideoFacts

X264 = ("-c:v", "libx264", "-preset", "veryfast", "-crf", "18", "-pix_fmt", "yuv420p")
VFR = ("-vf", "settb=1/1000,setpts=N*40+13*mod(N\\,3)+200*gte(N\\,40)", "-fps_mode", "passthrough")
VFR_BASE = ("-enc_time_base", "1/1000", "-video_track_timescale", "1000")
SINGLE = ("-g", "9999", "-x264-params", "keyint=infinite:scenecut=0")
X265 = ("-c:v", "libx265", "-preset", "ultrafast", "-crf", "18")
OPEN_GOP = ("-x265-params", "open-gop=1:keyint=15:min-keyint=15:bframes=3:log-level=none")
TEN_BIT = ("-x265-params", "keyint=20:log-level=none")

SOURCES = [
    Made("cfr.mp4", (*X264, "-g", "12", "-bf", "0")),
    Made("ntsc.mp4", (*X264, "-g", "30"), rate="30000/1001"),
    Made("vfr.mp4", (*X264, "-g", "12", "-bf", "2", *VFR, *VFR_BASE)),
    Made("b_frames.mp4", (*X264, "-g", "24", "-bf", "3", "-b_strategy", "0")),
    Made("single_keyframe.mp4", (*X264, *SINGLE)),
    Made("open_gop.mp4", (*X265, "-pix_fmt", "yuv420p", *OPEN_GOP)),
    Made("stream.ts", (*X264, "-g", "10", "-bf", "2")),
    Made("vp9.webm", ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-g", "20")),
    Made("b_frames.mkv", (*X264, "-g", "15", "-bf", "2"), rate="24000/1001"),
    Made("chroma444.mp4", (*X264[:-1], "yuv444p", "-g", "20")),
    Made("ten_bit.mp4", (*X265, "-pix_fmt", "yuv420p10le", *TEN_BIT)),
    Made("full_range.mp4", (*X264[:-1], "yuvj420p", "-g", "20")),
    Made("mpeg4.avi", ("-c:v", "mpeg4", "-q:v", "3", "-g", "20")),
]


@pytest.fixture(scope="module")
def coded(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Made], Path]:
    """Return a function that makes each coded video once."""
    folder = tmp_path_factory.mktemp("coded")
    return functools.cache(lambda made: make_coded(folder, made))


def facts_and_index(path: Path) -> tuple[VideoFacts, PacketIndex]:
    facts = probe(str(path), name=path.name, num_bytes=path.stat().st_size)
    return facts, build_packet_index(str(path), facts)


def settings(**options: object) -> EncodeSettings:
    return resolve_encoder(Transcode.model_validate({"transcode_crf": 16, **options}))[0]


def cut(
    path: Path,
    spans: list[CutSpan],
    folder: Path,
    *,
    windows: tuple[int, int] = (256, 128),
    encode: EncodeSettings | None = None,
    form: ClipForm | None = None,
) -> list[CutResult]:
    folder.mkdir(exist_ok=True)
    facts, index = facts_and_index(path)
    return list(
        cut_run(
            path,
            facts,
            index,
            spans,
            settings=encode or settings(),
            folder=folder,
            windows=windows,
            counters=DecodeCounters(),
            form=form,
        )
    )


def strides(seconds: Fraction, num: int) -> list[CutSpan]:
    """Return ``num`` spans end to end; the last one reaches to the end of the video."""
    spans = [CutSpan(f"clip{n}", n * seconds, (n + 1) * seconds) for n in range(num)]
    return [*spans[:-1], CutSpan(spans[-1].clip_id, spans[-1].start, None)]


def expected_frames(path: Path, span: CutSpan) -> list[int]:
    """Return the numbers of the frames whose exact time lies in the span, by ffmpeg's times."""
    times = frame_times(path)
    ends = span.end if span.end is not None else times[-1] + 1
    return [n for n, time in enumerate(times) if span.start <= time - times[0] < ends]


@pytest.mark.parametrize("made", SOURCES, ids=lambda made: made.name)
def test_every_frame_is_in_its_clip_at_its_time(
    made: Made, coded: Callable[[Made], Path], tmp_path: Path
) -> None:
    path = coded(made)
    # Bounds on frame times (0.64 s = frame 16 at 25 fps) are the ones an off-by-one would move.
    spans = strides(Fraction(16, 25), 4)
    times, codes = frame_times(path), read_codes(path)
    assert codes == list(range(75)), "the source itself must be readable"

    results = cut(path, spans, tmp_path / "clips")

    assert [result.clip_id for result in results] == [span.clip_id for span in spans]
    seen = []
    for span, result in zip(spans, results, strict=True):
        frames = expected_frames(path, span)
        assert result.failure is None
        assert result.path is not None
        assert read_codes(result.path) == frames
        assert result.num_frames == len(frames)
        clip_times = [times[n] - times[frames[0]] for n in frames]
        assert frame_times(result.path) == clip_times
        seen += frames
    assert seen == list(range(75))


def test_gaps_between_spans_are_left_out(coded: Callable[[Made], Path], tmp_path: Path) -> None:
    path = coded(SOURCES[3])
    spans = [
        CutSpan("a", Fraction(2, 5), Fraction(1)),
        CutSpan("b", Fraction(39, 25), Fraction(2)),
    ]

    first, second = cut(path, spans, tmp_path)

    assert first.path is not None
    assert second.path is not None
    assert read_codes(first.path) == list(range(10, 25))
    assert read_codes(second.path) == list(range(39, 50))


def test_bounds_between_frames_round_to_the_next_frame(
    coded: Callable[[Made], Path], tmp_path: Path
) -> None:
    tick = Fraction(1, 1_000_000)
    spans = [CutSpan("a", Fraction(1, 25) + tick, Fraction(3, 25) + tick)]

    (result,) = cut(coded(SOURCES[0]), spans, tmp_path)

    assert result.path is not None
    assert read_codes(result.path) == [2, 3]


def test_one_pass_decodes_every_frame_once(coded: Callable[[Made], Path], tmp_path: Path) -> None:
    path = coded(SOURCES[4])
    facts, index = facts_and_index(path)
    counters = DecodeCounters()
    results = cut_run(
        path,
        facts,
        index,
        strides(Fraction(1, 2), 6),
        settings=settings(),
        folder=tmp_path,
        windows=(256, 128),
        counters=counters,
    )

    assert all(result.path for result in results)
    assert counters.num_decoded == 75


def test_clips_come_as_they_close(coded: Callable[[Made], Path], tmp_path: Path) -> None:
    path = coded(SOURCES[4])
    facts, index = facts_and_index(path)
    counters = DecodeCounters()
    results = cut_run(
        path,
        facts,
        index,
        strides(Fraction(1, 5), 15),
        settings=settings(),
        folder=tmp_path,
        windows=(256, 128),
        counters=counters,
    )

    next(results)

    assert counters.num_decoded < 15
    assert [file.name for file in tmp_path.iterdir()] == ["clip0.mp4"]


def test_span_without_frames_has_no_file(coded: Callable[[Made], Path], tmp_path: Path) -> None:
    # vfr.mp4 stands still after frame 39: the next one comes 253 ms later.
    path = coded(SOURCES[2])
    times = frame_times(path)
    hold = times[40] - times[39]
    middle = times[39] + hold / 2
    spans = [
        CutSpan("before", Fraction(0), middle - hold / 4),
        CutSpan("hold", middle - hold / 4, middle),
        CutSpan("behind", middle, None),
    ]

    before, held, behind = cut(path, spans, tmp_path)

    assert before.path is not None
    assert behind.path is not None
    assert (held.path, held.failure, held.num_frames) == (None, None, 0)
    assert read_codes(before.path) == list(range(40))
    assert read_codes(behind.path) == list(range(40, 75))
    # The last frame before the hold is shown to the end of the span, not to the next frame.
    assert before.source_span_pts == (0, ceil((middle - hold / 4) * 1000))
    with av.open(str(before.path)) as clip:
        assert clip.duration == pytest.approx(float(middle - hold / 4) * 1e6, abs=40_000)
        assert clip.streams.video[0].average_rate == Fraction(40_000, before.source_span_pts[1])


def test_source_span_ends_where_the_next_clip_starts(
    coded: Callable[[Made], Path], tmp_path: Path
) -> None:
    results = cut(coded(SOURCES[1]), strides(Fraction(1), 3), tmp_path)

    ticks = [result.source_span_pts for result in results]
    assert ticks == [(0, 30 * 1001), (30 * 1001, 60 * 1001), (60 * 1001, 75 * 1001)]


def test_keyframes_stand_at_window_starts_only(
    coded: Callable[[Made], Path], tmp_path: Path
) -> None:
    # Changes of brightness every 97 frames are scene cuts for libx264.
    path = coded(Made("long.mp4", (*X264, "-g", "250"), num_frames=900, dips=97))

    whole, part, short = (
        cut(path, [span], tmp_path, windows=(256, 128))[0]
        for span in (
            CutSpan("whole", Fraction(0), None),
            CutSpan("part", Fraction(1), Fraction(25)),
            CutSpan("short", Fraction(0), Fraction(3, 25)),
        )
    )

    assert whole.path is not None
    assert part.path is not None
    assert short.path is not None
    assert keyframe_numbers(whole.path) == [0, 256, 512, 768]
    assert keyframe_numbers(part.path) == [0, 256]
    assert keyframe_numbers(short.path) == [0]
    assert read_codes(part.path) == list(range(25, 625))


def test_index_comes_before_the_media_data(coded: Callable[[Made], Path], tmp_path: Path) -> None:
    (result,) = cut(coded(SOURCES[0]), [CutSpan("a", Fraction(0), None)], tmp_path)

    assert result.path is not None
    data = result.path.read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat")
    assert b"Lavf" not in data
    assert b"Lavc" not in data


SOUND = ("-f", "lavfi", "-i", "anoisesrc=seed=7:sample_rate=48000:duration=8")


@pytest.mark.parametrize("codec", ["aac", "libmp3lame"])
def test_the_same_span_gives_the_same_bytes(
    codec: str, coded: Callable[[Made], Path], tmp_path: Path
) -> None:
    output = (*X264, "-g", "12", "-bf", "2", "-c:a", codec, "-shortest")
    path = coded(Made(f"sound_{codec}.mp4", output, num_frames=200, sound=SOUND))
    # Long enough for the sound of the later clips to be sought.
    spans = strides(Fraction(4, 3), 6)

    def bytes_of(some: list[CutSpan], name: str) -> list[bytes]:
        results = cut(path, some, tmp_path / name, encode=settings(transcode_crf=None))
        return [result.path.read_bytes() for result in results if result.path is not None]

    together = bytes_of(spans, "once")
    assert len(together) == 6
    assert bytes_of(spans, "again") == together
    assert bytes_of(spans[:3], "left") + bytes_of(spans[3:], "right") == together
    assert bytes_of(spans[4:5], "alone") == together[4:5]
    assert bytes_of([spans[0], spans[4]], "gap") == [together[0], together[4]]


def test_a_full_disk_is_no_fault_of_the_video(
    coded: Callable[[Made], Path], tmp_path: Path
) -> None:
    path = coded(SOURCES[0])
    code = f"""
import resource, signal
from fractions import Fraction
from pathlib import Path
from test_cut import CutSpan, cut
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    print(cut(Path({str(path)!r}), [CutSpan("a", Fraction(0), None)], Path({str(tmp_path)!r})))
except OSError as error:
    print(error.strerror)
"""
    folders = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]
    ran = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(folders)},
    )

    assert ran.stdout.strip() == "File too large"
    assert list(tmp_path.iterdir()) == []


def test_two_encoder_threads_are_repeatable_too(
    coded: Callable[[Made], Path], tmp_path: Path
) -> None:
    span = [CutSpan("a", Fraction(0), None)]
    encode = settings(transcode_encoder_threads=2)

    (once,) = cut(coded(SOURCES[0]), span, tmp_path / "a", encode=encode)
    (again,) = cut(coded(SOURCES[0]), span, tmp_path / "b", encode=encode)

    assert once.path is not None
    assert again.path is not None
    assert once.path.read_bytes() == again.path.read_bytes()


def damaged(path: Path, folder: Path, *, frame: int) -> Path:
    """Return a copy whose packet number ``frame`` begins with an impossible length."""
    copy = folder / f"damaged_{path.name}"
    shutil.copyfile(path, copy)
    with av.open(str(path)) as container:
        packet = [p for p in container.demux(video=0) if p.size][frame]
    with copy.open("r+b") as file:
        assert packet.pos is not None
        file.seek(packet.pos)
        file.write(b"\x7f\xff\xff\xff")
    return copy


def test_a_fault_costs_the_clips_up_to_the_next_keyframe(
    coded: Callable[[Made], Path], tmp_path: Path
) -> None:
    path = damaged(coded(SOURCES[0]), tmp_path, frame=26)  # Its GOP is frames 24 to 35.

    results = cut(path, strides(Fraction(1, 5), 15), tmp_path / "clips")

    failed = [result.clip_id for result in results if result.failure]
    # Frames 25-29 hold the fault; 30-34 need it; 35-39 begin in the same GOP.
    assert failed == ["clip5", "clip6", "clip7"]
    good = [result for result in results if result.failure is None]
    codes = [code for result in good if result.path for code in read_codes(result.path)]
    assert codes == [*range(25), *range(40, 75)]
    assert results[5].failure is not None
    assert results[5].failure[0] in ("decode_error", "truncated", "corrupt_frame")
    assert results[6].failure is not None
    assert "no keyframe lies between" in results[6].failure[1]
    left = sorted(file.name for file in (tmp_path / "clips").iterdir())
    assert left == sorted(f"{result.clip_id}.mp4" for result in good)


def test_behind_a_fault_without_keyframes_all_clips_fail(
    coded: Callable[[Made], Path], tmp_path: Path
) -> None:
    path = damaged(coded(SOURCES[4]), tmp_path, frame=40)

    results = cut(path, strides(Fraction(1), 3), tmp_path)

    assert [result.failure is None for result in results] == [True, False, False]


def test_mirrored_video_is_refused(coded: Callable[[Made], Path], tmp_path: Path) -> None:
    mirrored = tmp_path / "mirrored.mp4"
    ffmpeg("-display_hflip", "-i", str(coded(SOURCES[0])), "-c", "copy", str(mirrored))

    (result,) = cut(mirrored, [CutSpan("a", Fraction(0), None)], tmp_path)

    assert result.failure is not None
    assert result.failure[0] == "mirrored"


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_stored_rotation_is_applied_to_the_pixels(
    degrees: int, coded: Callable[[Made], Path], tmp_path: Path
) -> None:
    turned = tmp_path / "turned.mp4"
    # ffmpeg counts anticlockwise; its decoder turns the picture as players do.
    ffmpeg(
        "-display_rotation", str(degrees), "-i", str(coded(SOURCES[0])), "-c", "copy", str(turned)
    )

    (result,) = cut(turned, [CutSpan("a", Fraction(0), Fraction(1))], tmp_path)

    assert result.path is not None
    with av.open(str(result.path)) as clip:
        frames = list(clip.decode(video=0))
    assert all(frame.side_data.get("DISPLAYMATRIX") is None for frame in frames)
    shown = thumbnails(turned, num_frames=25)
    got = thumbnails(result.path, num_frames=25)
    assert got.shape == shown.shape
    assert np.abs(got - shown).mean() < 2


def thumbnails(path: Path, *, num_frames: int, size: tuple[int, int] = (96, 96)) -> np.ndarray:
    """Return small grey pictures (T, H, W) of the first frames, as players show them."""
    width, height = size
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(path), "-map", "0:V:0"]
    command += ["-fps_mode", "passthrough", "-frames:v", str(num_frames)]
    command += ["-vf", f"scale={width}:{height}:flags=area", "-pix_fmt", "gray"]
    raw = subprocess.run([*command, "-f", "rawvideo", "-"], check=True, capture_output=True).stdout
    return np.frombuffer(raw, np.uint8).reshape(-1, height, width).astype(np.float64)


REAL = [
    ("fate_hevc_dv84.mp4", (1080, 1920), None),
    ("mpy_fire2.mp4", (1280, 720), None),
    ("decord_video_90.mov", (320, 568), None),
    ("skv_carphone_pristine.mp4", (176, 144), Fraction(128, 117)),
    ("tc_h265_10bits.mp4", (200, 200), None),
    ("imageio_cockatoo.mp4", (1280, 720), None),
    ("mpy_no_duration.webm", (1280, 720), None),
]


@pytest.mark.parametrize(("name", "size", "aspect"), REAL, ids=str)
def test_real_videos_frame_by_frame(
    name: str,
    size: tuple[int, int],
    aspect: Fraction | None,
    real_videos: Path,
    tmp_path: Path,
) -> None:
    path = real_videos / name
    times = frame_times(path)
    middle = min(10, len(times) // 2)
    bound = times[middle] - times[0]
    end = bound + (times[min(middle + 12, len(times) - 1)] - times[middle])
    spans = [CutSpan("a", Fraction(0), bound), CutSpan("b", bound, end)]

    # Tone-mapped pictures could not be compared with the source's.
    encode, form = settings(transcode_preset="ultrafast"), ClipForm(keep_hdr=True)
    results = cut(path, spans, tmp_path, encode=encode, form=form)

    source = thumbnails(path, num_frames=30)
    for span, result in zip(spans, results, strict=True):
        frames = expected_frames(path, span)
        assert result.path is not None
        clip = thumbnails(result.path, num_frames=30)
        assert len(clip) == len(frames) == result.num_frames
        for picture, number in zip(clip, frames, strict=True):
            errors = np.abs(source - picture).mean(axis=(1, 2))
            assert errors[number] == errors.min(), (name, number, int(errors.argmin()))
        with av.open(str(result.path)) as opened:
            context = opened.streams.video[0].codec_context
            assert (context.width, context.height) == size
            assert opened.streams.video[0].sample_aspect_ratio in (aspect, aspect or 1)
            assert context.pix_fmt == ("yuv420p10le" if "dv84" in name else "yuv420p")
        assert [t - times[frames[0]] for t in (times[n] for n in frames)] == frame_times(
            result.path
        )


def test_color_tags_are_carried(real_videos: Path, tmp_path: Path) -> None:
    path = real_videos / "dj_video11.mp4"

    (result,) = cut(path, [CutSpan("a", Fraction(0), Fraction(1, 4))], tmp_path)

    assert result.path is not None
    with av.open(str(result.path)) as clip:
        frame = next(clip.decode(video=0))
    tags = (frame.color_range, frame.color_primaries, frame.color_trc, frame.colorspace)
    assert tags == (1, 1, 1, 1)


def test_odd_sizes_lose_their_last_row_and_column(tmp_path: Path) -> None:
    odd = tmp_path / "odd.mkv"
    ffmpeg(
        *("-f", "lavfi", "-i", "testsrc=size=65x49:rate=10:duration=1"),
        *("-c:v", "ffv1", "-pix_fmt", "yuv444p", str(odd)),
    )

    (result,) = cut(odd, [CutSpan("a", Fraction(0), None)], tmp_path)

    assert result.path is not None
    with av.open(str(result.path)) as clip:
        frames = [frame.to_ndarray()[:48] for frame in clip.decode(video=0)]
    assert len(frames) == 10
    with av.open(str(odd)) as container:
        source = [frame.to_ndarray()[0, :48, :64] for frame in container.decode(video=0)]
    assert frames[0].shape == (48, 64)
    assert np.abs(frames[0].astype(int) - source[0]).mean() < 3


def test_whole_clean_file_is_passed_through(coded: Callable[[Made], Path], tmp_path: Path) -> None:
    path = coded(SOURCES[0])
    through = resolve_encoder(Transcode())[0]

    (whole,) = cut(path, [CutSpan("a", Fraction(0), Fraction(3))], tmp_path / "a", encode=through)
    (part,) = cut(path, [CutSpan("a", Fraction(0), Fraction(2))], tmp_path / "b", encode=through)
    (asked,) = cut(path, [CutSpan("a", Fraction(0), Fraction(3))], tmp_path / "c")

    assert (whole.made_by, part.made_by, asked.made_by) == ("passthrough", "encode", "encode")
    assert whole.path is not None
    assert whole.path.read_bytes() == path.read_bytes()
    assert whole.num_frames == 75
