"""Which files may become a clip byte for byte."""

from __future__ import annotations

import functools
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest
from coded_video import Made, make_coded, read_codes
from ffmpeg_oracle import ffmpeg

from transforms.media.cut import CutSpan, cut_run
from transforms.media.decode import DecodeCounters
from transforms.media.encode import resolve_encoder
from transforms.media.packet_index import build_packet_index
from transforms.media.passthrough import passthrough_reason
from transforms.media.probe import probe
from transforms.media.transcode_options import Transcode

X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
SOUND = ("-f", "lavfi", "-i", "anoisesrc=seed=7:sample_rate=48000:duration=3")
# Upstream's own habits: libopenh264 (baseline, no B-frames), moov last, AAC.
UPSTREAM = Made(
    "upstream.mp4", ("-c:v", "libopenh264", "-b:v", "4M", "-pix_fmt", "yuv420p", "-c:a", "aac"),
    sound=SOUND,
)  # fmt: skip


@pytest.fixture(scope="module")
def coded(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Made], Path]:
    """Return a function that makes each video once."""
    folder = tmp_path_factory.mktemp("passthrough")
    return functools.cache(lambda made: make_coded(folder, made))


def reason(path: Path, *, start: int = 0, end: int | None = None) -> str | None:
    """Return why the file cannot be passed through; the span is in ticks after the first PTS."""
    facts = probe(str(path), name=path.name, num_bytes=path.stat().st_size)
    index = build_packet_index(str(path), facts)
    first = int(index.pts[0])
    end_pts = index.end_pts if end is None else first + end
    return passthrough_reason(facts, index, start_pts=first + start, end_pts=end_pts)


def passes_through(path: Path, folder: Path) -> bool:
    facts = probe(str(path), name=path.name, num_bytes=path.stat().st_size)
    (result,) = cut_run(
        path,
        facts,
        build_packet_index(str(path), facts),
        [CutSpan("again", Fraction(0), None)],
        settings=resolve_encoder(Transcode())[0],
        folder=folder,
        windows=(256, 128),
        counters=DecodeCounters(),
    )
    assert result.path is not None
    same = result.path.read_bytes() == path.read_bytes()
    assert same == (result.made_by == "passthrough")
    return same


def test_upstreams_clips_pass_through(coded: Callable[[Made], Path], tmp_path: Path) -> None:
    path = coded(UPSTREAM)
    data = path.read_bytes()
    assert data.index(b"mdat") < data.index(b"moov")

    assert reason(path) is None
    assert passes_through(path, tmp_path)


@pytest.mark.parametrize("source", ["h264_aac", "full_range", "hevc", "opus"])
def test_our_own_clips_pass_through(
    source: str, coded: Callable[[Made], Path], tmp_path: Path
) -> None:
    made = {
        "h264_aac": Made("a.mp4", (*X264, "-bf", "2", "-c:a", "aac"), sound=SOUND),
        "full_range": Made("b.mp4", (*X264[:-1], "yuvj420p")),
        "hevc": Made(
            "c.mp4",
            ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none"),
        ),
        "opus": Made("d.mkv", (*X264, "-c:a", "libopus"), sound=SOUND),
    }[source]
    path = coded(made)
    facts = probe(str(path), name=path.name, num_bytes=path.stat().st_size)
    results = list(
        cut_run(
            path,
            facts,
            build_packet_index(str(path), facts),
            [
                CutSpan("first", Fraction(0), Fraction(37, 25)),
                CutSpan("second", Fraction(37, 25), None),
            ],
            settings=resolve_encoder(Transcode())[0],
            folder=tmp_path,
            windows=(256, 128),
            counters=DecodeCounters(),
        )
    )
    again = tmp_path / "again"
    again.mkdir()

    for result in results:
        assert result.path is not None
        assert reason(result.path) is None
        assert passes_through(result.path, again)
    assert read_codes(results[0].path or path) == list(range(37))


def test_a_span_that_leaves_out_a_frame_is_encoded(coded: Callable[[Made], Path]) -> None:
    path = coded(UPSTREAM)
    ticks = 512  # of 1/12800 s per frame at 25 fps

    assert reason(path, end=74 * ticks + 1) is None
    assert reason(path, end=74 * ticks) == "the span does not cover the whole video"
    assert reason(path, start=1) == "the span does not cover the whole video"


@pytest.mark.parametrize(
    ("name", "output", "because"),
    [
        ("a.mkv", X264, "the container is matroska"),
        ("a.flv", X264, "the container is flv"),
        ("a.mov", X264, "the container is mov"),
        ("hevc.mp4", ("-c:v", "libx265", "-x265-params", "log-level=none"), "the codec is hevc"),
        ("444.mp4", (*X264[:-1], "yuv444p"), "the pixel format is yuv444p"),
    ],
)
def test_other_files_are_encoded(
    name: str, output: tuple[str, ...], because: str, coded: Callable[[Made], Path]
) -> None:
    assert str(reason(coded(Made(name, output, num_frames=20)))).startswith(because)


def test_flv_under_the_name_of_mp4_is_encoded(
    coded: Callable[[Made], Path], tmp_path: Path
) -> None:
    renamed = tmp_path / "renamed.mp4"
    renamed.write_bytes(coded(Made("a.flv", X264, num_frames=20)).read_bytes())

    assert str(reason(renamed)).startswith("the container is flv")


def test_further_tracks_and_rotation_are_encoded(
    coded: Callable[[Made], Path], tmp_path: Path
) -> None:
    path = coded(UPSTREAM)
    two, turned, titled = (tmp_path / f"{name}.mp4" for name in ("two", "turned", "titled"))
    ffmpeg("-i", str(path), "-map", "0", "-map", "0:a", "-c", "copy", str(two))
    ffmpeg("-display_rotation", "90", "-i", str(path), "-c", "copy", str(turned))
    captions = tmp_path / "captions.srt"
    captions.write_text("1\n00:00:00,000 --> 00:00:01,000\nhello\n")
    ffmpeg("-i", str(path), "-i", str(captions), "-c", "copy", "-c:s", "mov_text", str(titled))

    assert reason(two) == "there are 1 video, 2 audio and 0 other streams"
    assert reason(turned) == "the picture is stored turned by 270 degrees"
    assert reason(titled) == "there are 1 video, 1 audio and 1 other streams"


def test_frames_hidden_by_an_edit_list_are_encoded(
    coded: Callable[[Made], Path], tmp_path: Path
) -> None:
    path = coded(Made("gop.mp4", (*X264, "-g", "75")))
    trimmed = tmp_path / "trimmed.mp4"
    # Copying from the middle of a GOP keeps the frames before and hides them.
    ffmpeg("-ss", "1", "-i", str(path), "-c", "copy", str(trimmed))

    assert str(reason(trimmed)).startswith("the header says ")


def test_real_files(real_videos: Path) -> None:
    assert reason(real_videos / "cosmos_test_clip_10s.mp4") is None
    for name, because in {
        "sam2_01_dog.mp4": "there are 1 video, 1 audio and 1 other streams",
        "nemo_test_video.mp4": "there are 1 video, 0 audio and 1 other streams",
        "tc_nasa_13013.mp4": "there are 2 video, 2 audio and 2 other streams",
        "mpy_fire2.mp4": "the picture is stored turned by 180 degrees",
        "imageio_cockatoo.mp4": "the pixel format is yuv444p",
    }.items():
        assert reason(real_videos / name) == because
