"""Clips of the size that a trainer wants: scaled, cropped or padded, upright, square pixels."""

from __future__ import annotations

import subprocess
from fractions import Fraction
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
from coded_video import Made, make_coded, read_codes
from ffmpeg_oracle import ffmpeg
from luma_video import luma_video, moving
from pydantic import ValidationError
from run_command import Curated
from trial_cut import told_size, trial_cut

from transforms.media.clip_form import ClipForm, fit
from transforms.media.encode import resolve_encoder
from transforms.media.trainer_options import TrainerClips
from transforms.media.transcode_options import Transcode

LOSSLESS = ("-c:v", "libx264", "-preset", "ultrafast", "-qp", "0", "-pix_fmt", "yuv420p")


def pictures(path: Path, *filters: str, frames: int = 5) -> np.ndarray:
    """Return luma (T, H, W) as the ffmpeg binary decodes, turns and filters it."""
    chain = ",".join((*filters, "format=gray"))
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(path), "-frames:v"]
    command += [str(frames), "-vf", chain, "-f", "yuv4mpegpipe", "-strict", "-1", "-"]
    raw = subprocess.run(command, check=True, capture_output=True).stdout
    header, _, rest = raw.partition(b"\n")
    width, height = (int(part[1:]) for part in header.split()[1:3])
    size = len(b"FRAME\n") + width * height
    rows = np.frombuffer(rest, np.uint8).reshape(-1, size)[:, len(b"FRAME\n") :]
    return rows.reshape(-1, height, width).astype(int)


@pytest.mark.parametrize(
    ("form", "size", "aspect", "scaled", "becomes"),
    [
        (ClipForm(320, 180), (640, 480), Fraction(1), (320, 180), (320, 180)),
        (ClipForm(320, 180, "crop"), (640, 480), Fraction(1), (320, 240), (320, 180)),
        (ClipForm(320, 180, "pad"), (640, 480), Fraction(1), (240, 180), (320, 180)),
        (ClipForm(180, 320, "crop"), (640, 480), Fraction(1), (426, 320), (180, 320)),
        (ClipForm(180, 320, "pad"), (640, 480), Fraction(1), (180, 136), (180, 320)),
        (ClipForm(width=320), (640, 480), Fraction(1), (320, 240), (320, 240)),
        (ClipForm(height=100), (1920, 1080), Fraction(1), (178, 100), (178, 100)),
        (ClipForm(width=854), (1280, 720), Fraction(1), (854, 480), (854, 480)),
        (ClipForm(height=576), (720, 576), Fraction(16, 15), (768, 576), (768, 576)),
        (ClipForm(720, 576, "crop"), (720, 576), Fraction(16, 15), (768, 576), (720, 576)),
        (ClipForm(1920, 1080, "crop"), (320, 180), Fraction(1), (1920, 1080), (1920, 1080)),
        (ClipForm(16, 2000, "pad"), (2000, 16), Fraction(1), (16, 2), (16, 2000)),
    ],
)
def test_the_arithmetic(
    form: ClipForm,
    size: tuple[int, int],
    aspect: Fraction,
    scaled: tuple[int, int],
    becomes: tuple[int, int],
) -> None:
    found = fit(form, size, aspect=aspect)
    assert (found.scaled, found.size) == (scaled, becomes)
    assert all(found.offset(axis) % 2 == 0 for axis in (0, 1))


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lossless testsrc2 of 160x120 with sharp, asymmetric detail."""
    path = tmp_path_factory.mktemp("source") / "a.mp4"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=size=160x120:rate=25:duration=0.4", *LOSSLESS, str(path))
    return path


FORMS = [
    (ClipForm(96, 96), ("scale=96:96:flags=bicubic",)),
    (ClipForm(96, 96, "crop"), ("scale=128:96:flags=bicubic", "crop=96:96:16:0")),
    (ClipForm(96, 96, "pad"), ("scale=96:72:flags=bicubic", "pad=96:96:0:12:black")),
    (ClipForm(240, 120, "pad"), ("pad=240:120:40:0:black",)),
    (ClipForm(height=60), ("scale=80:60:flags=bicubic",)),
]


@pytest.mark.parametrize(("form", "filters"), FORMS, ids=str)
def test_pictures_are_those_of_ffmpegs_filters(
    form: ClipForm, filters: tuple[str, ...], source: Path, tmp_path: Path
) -> None:
    [result] = trial_cut(source, tmp_path / "a", form)
    [again] = trial_cut(source, tmp_path / "b", form)
    assert result.path is not None
    assert again.path is not None
    assert result.path.read_bytes() == again.path.read_bytes()
    expected = pictures(source, *filters)
    got = pictures(result.path)
    assert told_size(result.path) == (expected.shape[2], expected.shape[1], "1:1")
    assert got.shape == expected.shape
    assert np.abs(got - expected).mean() < 2.5
    assert result.made_by == "encode"


@pytest.mark.parametrize("full_range", [False, True])
def test_bars_are_black(full_range: bool, source: Path, tmp_path: Path) -> None:
    path = tmp_path / "range.mp4"
    if full_range:
        ffmpeg("-i", str(source), *LOSSLESS[:-1], "yuvj420p", str(path))
    [result] = trial_cut(path if full_range else source, tmp_path, ClipForm(96, 96, "pad"))
    assert result.path is not None
    got = pictures(result.path)  # format=gray is full range: black is 0
    assert got[:, :8].max() <= 3
    assert got[:, -8:].max() <= 3
    assert got[:, 20:70].max() > 200


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_turned_sources_are_turned_first(degrees: int, source: Path, tmp_path: Path) -> None:
    turned = tmp_path / "turned.mp4"
    ffmpeg("-display_rotation", str(degrees), "-i", str(source), "-c", "copy", str(turned))
    upright = (120, 160) if degrees != 180 else (160, 120)
    form = ClipForm(upright[0] // 2, upright[1] // 2)
    [result] = trial_cut(turned, tmp_path, form)
    assert result.path is not None
    got = pictures(result.path)
    expected = pictures(turned, f"scale={form.width}:{form.height}:flags=bicubic")
    assert got.shape[1:] == (form.height, form.width)
    assert np.abs(got - expected).mean() < 2.5


def test_wide_pixels_become_square(source: Path, tmp_path: Path) -> None:
    wide = tmp_path / "wide.mp4"
    ffmpeg("-i", str(source), "-vf", "setsar=2", *LOSSLESS, str(wide))
    assert told_size(wide) == (160, 120, "2:1")
    [kept] = trial_cut(wide, tmp_path / "kept", ClipForm())
    [one] = trial_cut(wide, tmp_path / "one", ClipForm(height=60))
    [both] = trial_cut(wide, tmp_path / "both", ClipForm(96, 96, "pad"))
    assert kept.path
    assert one.path
    assert both.path
    assert told_size(kept.path) == (160, 120, "2:1")
    assert told_size(one.path) == (160, 60, "1:1")
    assert told_size(both.path) == (96, 96, "1:1")
    assert pictures(both.path)[:, :28].max() <= 3, "320:120 fits in as 96x36"


def test_cropped_bars_come_first(source: Path, tmp_path: Path) -> None:
    [result] = trial_cut(source, tmp_path, ClipForm(96, 96), crop=(20, 10, 120, 100))
    assert result.path is not None
    expected = pictures(source, "crop=120:100:20:10", "scale=96:96:flags=bicubic")
    assert np.abs(pictures(result.path) - expected).mean() < 2.5


def test_odd_and_ten_bit_sources(tmp_path: Path) -> None:
    odd = tmp_path / "odd.mkv"
    test = ("-f", "lavfi", "-i", "testsrc2=size=161x121:rate=25:duration=0.4")
    ffmpeg(*test, "-c:v", "ffv1", "-pix_fmt", "yuv444p10le", str(odd))
    [result] = trial_cut(odd, tmp_path, ClipForm(80, 60))
    assert result.path is not None
    expected = pictures(odd, "format=yuv420p", "scale=80:60:flags=bicubic")
    assert np.abs(pictures(result.path) - expected).mean() < 2.5


def test_every_frame_stays_where_it_was(tmp_path: Path) -> None:
    made = Made("a.mp4", ("-c:v", "libx264", "-crf", "12", "-pix_fmt", "yuv420p"), num_frames=30)
    path = make_coded(tmp_path, made)
    bounds = (Fraction(0), Fraction(12, 25), None)
    first, second = trial_cut(path, tmp_path / "clips", ClipForm(128, 96), bounds=bounds)
    assert first.path
    assert second.path
    assert read_codes(first.path) == list(range(12))
    assert read_codes(second.path) == list(range(12, 30))


def test_a_size_turns_passing_through_off(tmp_path: Path) -> None:
    luma_video(tmp_path / "a.mp4", [moving(n, size=(96, 64)) for n in range(10)])
    through = resolve_encoder(Transcode())[0]
    [plain] = trial_cut(tmp_path / "a.mp4", tmp_path / "x", ClipForm(), encode=through)
    [sized] = trial_cut(tmp_path / "a.mp4", tmp_path / "y", ClipForm(96, 64), encode=through)
    assert (plain.made_by, sized.made_by) == ("passthrough", "encode")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"clip_width": 641}, "take 640 or 642"),
        ({"clip_height": 99}, "clip_height must be even"),
        ({"clip_height": 8}, "greater than or equal to 16"),
        ({"clip_width": 96, "clip_resize": "crop"}, "clip_resize crop needs"),
        ({"clip_resize": "fill"}, "'scale', 'crop' or 'pad'"),
    ],
)
def test_sizes_that_cannot_be(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TrainerClips.model_validate(options)


def test_clips_of_a_run_have_the_size_and_turning_it_on_later_stops(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    luma_video(raw / "a.mp4", [moving(n, size=(192, 128)) for n in range(50)])
    run = Curated.below(tmp_path, raw)
    assert run.curate() == 0
    [plain] = run.metas().values()
    assert run.curate("--clip_width", "96") == 2
    assert "clip_width: was None, now 96" in capsys.readouterr().err
    other = Curated.below(tmp_path / "other", raw)
    other.out.parent.mkdir()
    assert other.curate("--clip_width", "96") == 0
    [sized] = other.metas().values()
    assert (sized["width"], sized["height"], sized["made_by"]) == (96, 64, "encode")
    assert told_size(Path(sized["clip_location"])) == (96, 64, "1:1")
    assert sized["span_uuid"] == plain["span_uuid"]
    assert sized["stages"]["cut"] != plain["stages"]["cut"]
