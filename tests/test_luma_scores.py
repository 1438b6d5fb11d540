"""Each score on made frames, against numpy; and what the shared luma is."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np
import pytest
from luma_video import Luma, barred, luma_frame, moving

from transforms.media.look import LookSettings, look
from transforms.media.luma import LumaReader, sample_step
from transforms.media.observers.luma_scores import SCORERS, LumaScores


def scores(pictures: Sequence[Luma], *, fps: float = 2.0, full_range: bool = False) -> dict:
    """Return all scores; at 2 frames per second every frame is sampled."""
    observer = LumaScores(tuple(SCORERS), fps=fps)
    for number, picture in enumerate(pictures):
        observer.observe(luma_frame(picture, full_range=full_range), number)
    return observer.finish().scores


def on_scale(stored: Luma) -> np.ndarray:
    """Return limited-range luma on the scale from 0 to 255, as the standard has it."""
    return np.clip(np.round((stored.astype(float) - 16) * 255 / 219), 0, 255)


def test_stored_luma_on_one_scale_whatever_range_and_depth() -> None:
    stored = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert (LumaReader().read(luma_frame(stored)).grid == on_scale(stored)).all()
    assert (LumaReader().read(luma_frame(stored, full_range=True)).grid == stored).all()
    deep = av.VideoFrame(16, 16, "yuv420p10le")
    row = deep.planes[0].line_size // 2
    values = np.zeros((deep.planes[0].buffer_size // 2 // row, row), "<u2")
    values[:16, :16] = stored.astype(np.uint16) * 4 + 3
    deep.planes[0].update(values.tobytes())
    luma = LumaReader().read(deep)
    assert (luma.stored == stored).all()
    assert (luma.grid == on_scale(stored)).all()


def test_the_grid_is_every_nth_pixel_and_is_made_once() -> None:
    picture = np.random.default_rng(1).integers(16, 236, (540, 970), dtype=np.uint8)
    luma = LumaReader().read(luma_frame(picture))
    assert (luma.grid == on_scale(picture)[3::6, 3::6]).all()
    assert luma.grid is luma.grid
    assert luma.grid.shape == (90, 162)


def test_the_small_picture_is_the_mean_of_what_it_covers() -> None:
    generator = np.random.default_rng(2)
    for (height, width), (rows, columns) in (
        *(((360, 640), (180, 320)), ((480, 854), (180, 320)), ((1083, 611), (319, 180))),
        ((2160, 3840), (180, 320)),
    ):
        picture = generator.integers(16, 236, (height, width), dtype=np.uint8)
        small = LumaReader().read(luma_frame(picture)).small
        assert small.shape == (rows, columns)
        firsts = [y * height // rows for y in range(rows)]
        lefts = [x * width // columns for x in range(columns)]
        sums = np.add.reduceat(np.add.reduceat(picture, firsts, 0, np.int64), lefts, 1)
        counts = np.outer(np.diff([*firsts, height]), np.diff([*lefts, width]))
        assert (small == on_scale(np.floor(sums / counts + 0.5))).all()
    as_it_is = generator.integers(16, 236, (359, 500), dtype=np.uint8)
    assert (LumaReader().read(luma_frame(as_it_is)).small == on_scale(as_it_is)).all()


@pytest.mark.parametrize(
    ("picture", "is_black"),
    [
        (np.full((50, 100), 37, np.uint8), True),  # (37 - 16) * 255 / 219 = 24.5
        (np.full((50, 100), 38, np.uint8), False),  # 25.6
        (np.where(np.arange(5000) < 100, 235, 16).reshape(50, 100), True),  # 2 % light
        (np.where(np.arange(5000) < 101, 235, 16).reshape(50, 100), False),
    ],
)
def test_black_frames(picture: Luma, is_black: bool) -> None:
    pictures = [picture.astype(np.uint8), np.full((50, 100), 128, np.uint8)]
    assert scores(pictures)["black_share"] == (0.5 if is_black else 0.0)


def test_full_range_black() -> None:
    pictures = [np.full((50, 100), value, np.uint8) for value in (25, 26, 255)]
    assert scores(pictures, full_range=True)["black_share"] == 1 / 3


def test_frozen_frames() -> None:
    still = moving(0, size=(100, 50))
    pixels = still.size
    within, beyond, spot = (still.astype(np.int64).ravel() for _ in range(3))
    # 0.001 * 255 * pixels levels in all are let pass; one level of stored luma is 1 or 2 of ours.
    allowed = int(0.255 * pixels)
    within[: allowed // 2] += 1
    beyond[: allowed + 1] += 1
    spot[0] += 20
    changed = [still, *(part.astype(np.uint8).reshape(50, 100) for part in (within, beyond, spot))]
    ours = [on_scale(picture) for picture in changed]
    verdicts = []
    for picture in changed[1:]:
        verdicts.append(scores([still, picture])["frozen_share"])
    expected = [
        float(np.abs(picture - ours[0]).mean() <= 0.255 and np.abs(picture - ours[0]).max() <= 16)
        for picture in ours[1:]
    ]
    assert verdicts == expected == [1.0, 0.0, 0.0]
    assert scores([still, still, moving(1, size=(100, 50)), still])["frozen_share"] == 1 / 3
    assert "frozen_share" not in scores([still])


def test_brightness_is_the_mean_on_the_scale() -> None:
    generator = np.random.default_rng(3)
    pictures = [generator.integers(0, 256, (90, 160), dtype=np.uint8) for _ in range(3)]
    expected = np.mean([on_scale(picture) for picture in pictures]) / 255
    assert scores(pictures)["brightness"] == pytest.approx(expected, rel=1e-12)
    assert scores([np.full((50, 100), 16, np.uint8)])["brightness"] == 0.0
    assert scores([np.full((50, 100), 235, np.uint8)])["brightness"] == 1.0


def test_sharpness_is_the_median_variance_of_the_laplacian() -> None:
    generator = np.random.default_rng(4)
    pictures = [generator.integers(16, 16 + 50 * n, (80, 120), dtype=np.uint8) for n in (1, 2, 4)]
    variances = []
    for picture in pictures:
        values = on_scale(picture)
        laplacian = sum(np.roll(values, shift, axis) for axis in (0, 1) for shift in (-1, 1))
        variances.append((laplacian - 4 * values)[1:-1, 1:-1].var())
    assert scores(pictures)["sharpness"] == pytest.approx(sorted(variances)[1], rel=1e-12)
    assert scores([np.full((2, 100), 16, np.uint8)]).get("sharpness") is None
    assert scores([np.full((50, 100), 90, np.uint8)])["sharpness"] == 0.0


def test_sharpness_hardly_depends_on_the_size() -> None:
    generator = np.random.default_rng(5)
    coarse = generator.integers(60, 200, (90, 160)).astype(np.uint8)
    sizes = [np.kron(coarse, np.ones((n, n), np.uint8)) for n in (4, 8, 12)]
    measured = [scores([picture])["sharpness"] for picture in sizes]
    assert measured == pytest.approx([measured[0]] * 3, rel=0.02)


def test_blur_lowers_the_sharpness() -> None:
    sharp = np.random.default_rng(6).integers(16, 236, (180, 320)).astype(float)
    blurred = sum(np.roll(sharp, (y, x), (0, 1)) for y in range(4) for x in range(4)) / 16
    measured = [scores([picture.astype(np.uint8)])["sharpness"] for picture in (sharp, blurred)]
    assert measured[0] > 20 * measured[1]


@pytest.mark.parametrize(
    "box", [(0, 0, 120, 80), (0, 11, 120, 58), (17, 0, 85, 80), (10, 7, 101, 60), (0, 0, 0, 0)]
)
def test_the_picture_box_is_exact(box: tuple[int, int, int, int]) -> None:
    pictures = [barred(moving(n, size=(120, 80)), box=box) for n in range(4)]
    found = scores(pictures)
    assert tuple(found[f"picture_{name}"] for name in ("left", "top", "width", "height")) == box
    assert found["picture_share"] == box[2] * box[3] / 9600


def test_the_picture_box_holds_what_any_frame_shows() -> None:
    first = barred(moving(0, size=(120, 80)), box=(0, 20, 120, 20))
    second = barred(moving(0, size=(120, 80)), box=(0, 30, 120, 40))
    assert scores([first, second])["picture_top"] == 20
    assert scores([first, second])["picture_height"] == 50
    specks = first.copy()
    specks[70, 5] = 235  # less than 1 % of a row: dust, not picture
    assert scores([specks])["picture_height"] == 20


def test_half_a_second_lies_between_sampled_frames() -> None:
    assert [sample_step(fps) for fps in (0, 1, 2, 24, 25, 30, 59.94)] == [1, 1, 1, 12, 12, 15, 30]
    pictures = [barred(moving(0, size=(120, 80)), box=(0, 0, 120, 40))] * 13
    pictures[1:12] = [moving(0, size=(120, 80))] * 11
    assert scores(pictures, fps=25.0)["picture_height"] == 40


def test_scorers_do_not_depend_on_each_other() -> None:
    pictures = [barred(moving(n, size=(400, 300)), box=(0, 30, 400, 240)) for n in range(5)]
    together = scores(pictures)
    apart: dict = {}
    for name in SCORERS:
        observer = LumaScores((name,), fps=2.0)
        for number, picture in enumerate(pictures):
            observer.observe(luma_frame(picture), number)
        apart.update(observer.finish().scores)
    assert apart == together


def ffmpeg_lines(path: Path, video_filter: str, word: str) -> list[str]:
    """Return the lines of the ffmpeg program's report that hold a word."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-hide_banner", "-i", str(path)]
    command += ["-vf", video_filter, "-f", "null", "-"]
    report = subprocess.run(command, capture_output=True, check=True, text=True).stderr
    return [line for line in report.splitlines() if word in line]


def test_real_videos_as_the_ffmpeg_program_sees_them(real_videos: Path, tmp_path: Path) -> None:
    path = real_videos / "cosmos_test_clip_10s.mp4"
    settings = LookSettings(scores=tuple(SCORERS))
    found = look(path, settings, preview_folder=tmp_path).scores
    # Stored luma below 38 is 25 or less on our scale; the program counts all pixels, we a grid.
    num_black = len(ffmpeg_lines(path, "blackframe=amount=98:threshold=38", "pblack:"))
    assert num_black > 60
    assert found["black_share"] * 240 == pytest.approx(num_black, abs=2)
    [*_, last] = ffmpeg_lines(path, "cropdetect=limit=38:round=2:reset=0", "crop=")
    width, height, left, top = map(int, last.rsplit("crop=", 1)[1].split(":"))
    assert (found["picture_left"], found["picture_width"]) == (left, width)
    assert found["picture_top"] == pytest.approx(top, abs=2)
    assert found["picture_height"] == pytest.approx(height, abs=4)
