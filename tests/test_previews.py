"""Previews: which frames they show, their form, size, colours and bytes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from flat_clip import flat_clip, grey_levels
from PIL import Image

from transforms.annotate.previews import Previews
from transforms.media.look import LookSettings, PreviewSettings, look
from transforms.media.observers.preview_frames import preview_size


def preview_levels(path: Path, levels: Sequence[int]) -> list[int]:
    """Return for each picture of a WebP which of the grey levels its upper half shows."""
    numbers = []
    with Image.open(path) as image:
        for picture in range(getattr(image, "n_frames", 1)):
            image.seek(picture)
            pixels = np.asarray(image.convert("L"), dtype=float)
            level = pixels[: pixels.shape[0] // 4].mean()
            numbers.append(int(np.argmin(np.abs(np.array(levels) - level))))
    return numbers


def nearest_frames(pts_seconds: Sequence[Fraction], fps: int) -> list[int]:
    """Return upstream's sampling by brute force: the nearest frame of each grid point."""
    step = Fraction(1, fps)
    point, chosen = pts_seconds[0], []
    while point < pts_seconds[-1] + step / 2:
        distances = [abs(time - point) for time in pts_seconds]
        chosen.append(distances.index(min(distances)))
        point += step
    return chosen


# Milliseconds between frames: constant, variable, slower than the previews, on grid midpoints.
TIMINGS = {
    "25 fps": ([40], 100, 1),
    "variable": ([10, 70, 300, 41, 15], 100, 1),
    "one frame in 2.3 s": ([2300], 8, 1),
    "half seconds": ([500], 21, 1),
    "three per second": ([40], 60, 3),
}


@pytest.mark.parametrize("timing", TIMINGS)
def test_previews_show_the_nearest_frames(tmp_path: Path, timing: str) -> None:
    steps, count, fps = TIMINGS[timing]
    pts = [sum(steps[k % len(steps)] for k in range(number)) for number in range(count)]
    colors = grey_levels(count)
    clip = flat_clip(tmp_path / "clip.mp4", colors, pts=pts)
    size = count // 2 + 1
    settings = LookSettings(
        window_size=size, remainder_threshold=2, previews=PreviewSettings(fps, target_height=32)
    )
    result = look(clip, settings, preview_folder=tmp_path / "previews")
    assert result.preview_files == (f"0_{size - 1}.webp", f"{size}_{count - 1}.webp")
    seconds = [Fraction(time, 1000) for time in pts]
    levels = [color[0] for color in colors]
    for name, first, end in zip(result.preview_files, (0, size), (size, count), strict=True):
        expected = [first + number for number in nearest_frames(seconds[first:end], fps)]
        assert preview_levels(tmp_path / "previews" / name, levels) == expected


def test_previews_are_small_loops_of_the_documented_form(tmp_path: Path) -> None:
    clip = flat_clip(
        tmp_path / "clip.mp4",
        grey_levels(60),
        size=(176, 144),
        sample_aspect_ratio=Fraction(128, 117),
    )
    settings = LookSettings(previews=PreviewSettings())
    result = look(clip, settings, preview_folder=tmp_path / "a")
    assert result.preview_files == ("0_59.webp",)
    data = (tmp_path / "a" / "0_59.webp").read_bytes()
    assert (data[:4], data[8:16]) == (b"RIFF", b"WEBPVP8X")
    assert b"VP8L" not in data  # lossless pictures
    with Image.open(tmp_path / "a" / "0_59.webp") as image:
        assert image.size == (320, 240)  # 176 * 128 / 117 : 144 = 4 : 3
        assert image.info["loop"] == 0
        durations = []
        for picture in range(image.n_frames):
            image.seek(picture)
            image.load()
            durations.append(image.info["duration"])
    assert durations == [1000, 1000, 1000]


def test_previews_keep_colours(tmp_path: Path) -> None:
    colors = [(200, 60, 40)] * 8
    clip = flat_clip(tmp_path / "clip.mp4", colors, size=(320, 240))
    look(clip, LookSettings(previews=PreviewSettings()), preview_folder=tmp_path)
    with Image.open(tmp_path / "0_7.webp") as image:
        red, green, blue = image.convert("RGB").getpixel((160, 60))
    assert abs(red - 200) <= 6
    assert abs(green - 60) <= 6
    assert abs(blue - 40) <= 6


def test_previews_have_the_same_bytes_again(real_videos: Path, tmp_path: Path) -> None:
    settings = LookSettings(previews=PreviewSettings())
    names = [
        look(
            real_videos / "synth_cuts_gt.mp4", settings, preview_folder=tmp_path / part
        ).preview_files
        for part in ("a", "b")
    ]
    assert names == [("0_255.webp", "256_565.webp")] * 2
    for name in names[0]:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize(
    ("width", "height", "ratio", "expected"),
    [
        (1920, 1080, None, (426, 240)),
        (720, 1280, None, (136, 240)),
        (854, 480, Fraction(1), (428, 240)),
        (720, 576, Fraction(16, 15), (320, 240)),
        (8, 4000, None, (2, 240)),
    ],
)
def test_preview_sizes(
    width: int, height: int, ratio: Fraction | None, expected: tuple[int, int]
) -> None:
    size = preview_size(width, height, sample_aspect_ratio=ratio, target_height=240)
    assert size == expected


def test_preview_options_are_upstreams_and_the_settings_defaults() -> None:
    assert Previews().model_dump() == {
        "generate_previews": False,
        "preview_target_fps": 1,
        "preview_target_height": 240,
    }
    assert dataclasses.asdict(PreviewSettings()) == {"target_fps": 1, "target_height": 240}
