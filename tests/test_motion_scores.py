"""Motion scores against upstream's golden values and a slow painting of every pixel."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from flat_clip import flat_clip
from hypothesis import given, settings
from hypothesis import strategies as st
from make_video import VideoSpec
from numpy.typing import NDArray

from transforms.media.look import LookResult, LookSettings, MotionSettings, look
from transforms.media.observers.motion import cell_motion, global_mean, per_patch_min

Vector = tuple[int, int, int, int, int, int]
"""Width, height, dst_x, dst_y, motion_x, motion_y."""
SCALE = 4


def look_at(path: Path, **motion: float) -> LookResult:
    """Score a clip; without previews nothing is written."""
    return look(
        path, LookSettings(motion=MotionSettings(**motion)), preview_folder=path.parent / "none"
    )


def painted(vectors: list[Vector], size: tuple[int, int]) -> NDArray[np.float64]:
    """Paint every block on its pixels, one after another, and return the frame's motion."""
    width, height = size
    pixels = np.zeros((height, width))
    for block_width, block_height, x, y, motion_x, motion_y in vectors:
        left, top = x - block_width // 2, y - block_height // 2
        rows = slice(max(top, 0), max(top + block_height, 0))
        columns = slice(max(left, 0), max(left + block_width, 0))
        length = ((motion_x / SCALE) ** 2 + (motion_y / SCALE) ** 2) ** 0.5
        pixels[rows, columns] = length / (height + width)
    return pixels


def shrunk_min(pixels: NDArray[np.float64]) -> float:
    """Return the minimum of the bilinear shrink by 256, sampled at half-pixel centres."""
    values = []
    for row in range(pixels.shape[0] // 256):
        for column in range(pixels.shape[1] // 256):
            y, x = (row + 0.5) * 256 - 0.5, (column + 0.5) * 256 - 0.5
            y0, x0 = int(y), int(x)
            fy, fx = y - y0, x - x0
            upper = (1 - fx) * pixels[y0, x0] + fx * pixels[y0, x0 + 1]
            lower = (1 - fx) * pixels[y0 + 1, x0] + fx * pixels[y0 + 1, x0 + 1]
            values.append((1 - fy) * upper + fy * lower)
    return min(values)


def slow_scores(path: Path, *, step: int, max_frames: int) -> dict[str, float]:
    """Score an H.264 file pixel by pixel with a decode of its own."""
    maps: list[NDArray[np.float64]] = []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.options = {"flags2": "+export_mvs"}
        for number, frame in enumerate(container.decode(stream)):
            side_data = frame.side_data.get("MOTION_VECTORS")
            if number % step or side_data is None or len(maps) == max_frames:
                continue
            assert {vector.motion_scale for vector in side_data} <= {SCALE}
            vectors = [(v.w, v.h, v.dst_x, v.dst_y, v.motion_x, v.motion_y) for v in side_data]
            maps.append(painted(vectors, (stream.width, stream.height)))
    mean = np.mean(maps, axis=0)
    return {
        "motion_global_mean": float(mean.mean()),
        "motion_per_patch_min_256": shrunk_min(mean),
    }


def test_golden_clip_as_it_is(real_videos: Path) -> None:
    result = look_at(real_videos / "cosmos_test_clip_10s.mp4")
    assert result.scores == pytest.approx(
        {"motion_global_mean": 0.0024022, "motion_per_patch_min_256": 0.0015529}, abs=1e-6, rel=0
    )
    assert abs(result.scores["motion_global_mean"] - 0.0024022) < 1e-7
    assert abs(result.scores["motion_per_patch_min_256"] - 0.0015529) < 1e-7
    assert result.notes == {}


@pytest.mark.parametrize("name", ["skv_bikes.mp4", "dj_video11.mp4"])
def test_real_clip_equals_the_slow_painting(real_videos: Path, name: str) -> None:
    # 25 fps, 10 s and 24 fps, 12 s: every 12th frame, at most 10 and 12 of them.
    limits = {"skv_bikes.mp4": 10, "dj_video11.mp4": 12}
    expected = slow_scores(real_videos / name, step=12, max_frames=limits[name])
    assert look_at(real_videos / name).scores == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("motion", "step", "max_frames"),
    [
        ({}, 12, 10),  # 24 fps at 2 fps; 2 * 3 * 0.5 = 3, but never fewer than 10
        ({"target_fps": 24.0}, 1, 36),
        ({"target_fps": 24.0, "target_duration_ratio": 0.25}, 1, 18),
        ({"target_fps": 9.0, "target_duration_ratio": 1.0}, 3, 27),
        ({"target_fps": 100.0}, 1, 150),
    ],
)
def test_which_frames_are_used(
    made_video: Callable[[str, VideoSpec], Path],
    motion: dict[str, float],
    step: int,
    max_frames: int,
) -> None:
    # 300 is no multiple of 8: the cells of the last column are half visible.
    spec = VideoSpec(seconds=3.0, size=(300, 258), fps=Fraction(24), b_frames=2, keyframe_every=30)
    path = made_video("moving.mp4", spec)
    expected = slow_scores(path, step=step, max_frames=max_frames)
    assert expected["motion_global_mean"] > 0
    assert look_at(path, **motion).scores == pytest.approx(expected, rel=1e-9)


BLOCK = st.sampled_from([(8, 8), (16, 8), (8, 16), (16, 16)])


@st.composite
def frames(draw: st.DrawFn) -> tuple[tuple[int, int], list[Vector]]:
    size = draw(st.integers(256, 530)), draw(st.integers(256, 530))
    vectors = []
    for _ in range(draw(st.integers(1, 60))):
        block_width, block_height = draw(BLOCK)
        left = 8 * draw(st.integers(-2, size[0] // 8 + 2))
        top = 8 * draw(st.integers(-2, size[1] // 8 + 2))
        motion = draw(st.tuples(st.integers(-300, 300), st.integers(-300, 300)))
        center = left + block_width // 2, top + block_height // 2
        vectors.append((block_width, block_height, *center, *motion))
    return size, vectors


@settings(max_examples=60, deadline=None)
@given(frames())
def test_grid_equals_painting_every_pixel(case: tuple[tuple[int, int], list[Vector]]) -> None:
    size, vectors = case
    names = ["w", "h", "dst_x", "dst_y", "motion_x", "motion_y"]
    array = np.zeros(len(vectors), [*((name, np.int32) for name in names), ("motion_scale", "u2")])
    for name, values in zip(names, zip(*vectors, strict=True), strict=True):
        array[name] = values
    array["motion_scale"] = SCALE
    cells = cell_motion(array, size=size)
    pixels = painted(vectors, size)
    shown = cells.repeat(8, axis=0).repeat(8, axis=1)[: size[1], : size[0]]
    np.testing.assert_allclose(shown, pixels, rtol=1e-12)
    assert global_mean(cells, size=size) == pytest.approx(float(pixels.mean()), rel=1e-9)
    assert per_patch_min(cells, size=size) == pytest.approx(shrunk_min(pixels), rel=1e-9)


def test_still_picture_scores_zero(tmp_path: Path) -> None:
    still = flat_clip(tmp_path / "still.mp4", [(120, 120, 120)] * 50, size=(320, 256))
    assert look_at(still).scores == {"motion_global_mean": 0.0, "motion_per_patch_min_256": 0.0}


@pytest.mark.parametrize("size", [(320, 254), (254, 320)])
def test_small_clip_has_no_score(
    made_video: Callable[[str, VideoSpec], Path], size: tuple[int, int]
) -> None:
    result = look_at(made_video("small.mp4", VideoSpec(seconds=0.4, size=size)))
    assert result.scores == {}
    assert result.notes == {"motion_missing": "resolution_too_small"}


def test_clip_of_keyframes_has_no_vectors(made_video: Callable[[str, VideoSpec], Path]) -> None:
    path = made_video("intra.mp4", VideoSpec(seconds=1.0, size=(320, 256), keyframe_every=1))
    result = look_at(path)
    assert result.scores == {}
    assert result.notes == {"motion_missing": "no_vectors"}


def test_no_score_unless_asked_for(made_video: Callable[[str, VideoSpec], Path]) -> None:
    path = made_video("moving.mp4", VideoSpec(seconds=1.0, size=(320, 256)))
    result = look(path, LookSettings(), preview_folder=path.parent / "none")
    assert (result.scores, result.notes) == ({}, {})


@pytest.mark.parametrize("name", ["tc_av1_video.mkv", "mpy_no_duration.webm"])
def test_other_codecs_score_like_their_own_h264_encode(
    real_videos: Path, tmp_path: Path, name: str
) -> None:
    """The proxy in memory gives what a file with the documented settings gives."""
    proxy = tmp_path / "proxy.mp4"
    with av.open(str(real_videos / name)) as source, av.open(str(proxy), "w") as out:
        picture = source.streams.video[0]
        options = {
            "preset": "veryfast",
            "x264-params": "cpu-independent=1:keyint=infinite:scenecut=0",
        }
        stream = out.add_stream("libx264", rate=picture.average_rate, options=options)
        stream.width, stream.height = picture.width, picture.height
        stream.pix_fmt, stream.bit_rate = "yuv420p", 4_000_000
        stream.codec_context.time_base = picture.time_base
        stream.codec_context.thread_count = 1
        for frame in source.decode(picture):
            frame.pict_type = av.video.frame.PictureType.NONE
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    result = look_at(real_videos / name)
    assert result.video_codec in ("av1", "vp9")
    assert result.scores["motion_global_mean"] > 0
    fps = float(Fraction(result.framerate).limit_denominator(2000))
    expected = slow_scores(proxy, step=max(1, round(fps / 2)), max_frames=10)
    assert result.scores == pytest.approx(expected, rel=1e-9)


MEMORY_PROGRAM = """
import resource, sys
from pathlib import Path
from transforms.media.look import LookSettings, MotionSettings, look
every_frame = MotionSettings(target_fps=1000.0, target_duration_ratio=1.0)
look(Path(sys.argv[1]), LookSettings(), preview_folder=Path("none"))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
look(Path(sys.argv[1]), LookSettings(motion=every_frame), preview_folder=Path("none"))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_used_frames_are_let_go(made_video: Callable[[str, VideoSpec], Path]) -> None:
    """Reading every frame's vectors needs little more memory than reading none."""
    path = made_video(
        "long.mp4",
        VideoSpec(
            seconds=12.0,
            size=(1280, 720),
            keyframe_every=250,
            encoder_options=(("preset", "ultrafast"),),
        ),
    )
    grown_kib = int(
        subprocess.run(
            [sys.executable, "-c", MEMORY_PROGRAM, str(path)],
            capture_output=True,
            check=True,
            text=True,
        ).stdout
    )
    assert grown_kib < 60 * 1024
