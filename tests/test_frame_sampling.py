"""Frames for embeddings: upstream's rule on a grid of time, and what the look writes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from make_video import VideoSpec

from transforms.json_records import from_plain, to_plain
from transforms.media.clip_files import embedding_frames
from transforms.media.frame_sampling import frames_to_sample, sampled_size, sequence_frames
from transforms.media.look import LookSettings, look
from transforms.media.look_settings import FrameSettings

MS = Fraction(1, 1000)


def brute_force(pts: list[int], time_base: Fraction, fps: Fraction) -> list[int]:
    """Return the same by the rule's own words: all distances, for every point."""
    seconds = [value * time_base for value in pts]
    points, number = [], 0
    while seconds[0] + number / fps < seconds[-1] + 1 / fps / 2:
        points.append(seconds[0] + number / fps)
        number += 1
    return [
        min(range(len(pts)), key=lambda frame: (abs(seconds[frame] - point), frame))
        for point in points
    ]


@pytest.mark.parametrize(
    ("pts", "fps", "numbers"),
    [
        # 30 frames of 10 per second: a point every half second, the last at 3.0 s, past the end.
        (range(0, 3000, 100), 2, [0, 5, 10, 15, 20, 25, 29]),
        # The last PTS is 2.6 s: a point at 3.0 s would be behind 2.6 + 0.25.
        (range(0, 2700, 100), 2, [0, 5, 10, 15, 20, 25]),
        # The last PTS is 2.8 s: the point at 3.0 s is inside, and its nearest frame the last.
        (range(0, 2900, 100), 2, [0, 5, 10, 15, 20, 25, 28]),
        # The last PTS is 2.75 s: 3.0 s is exactly half a step behind, and that end is open.
        ([0, 500, 1000, 1500, 2000, 2500, 2750], 2, [0, 1, 2, 3, 4, 5]),
        # 0.5 s lies between frames 0 and 1 s: the earlier one, and so it is there twice.
        ([0, 1000, 2000], 2, [0, 0, 1, 1, 2]),
        # Frames that are not evenly spaced, and do not begin at 0.
        ([7000, 7010, 7600, 8900, 9000], 2, [0, 2, 2, 3, 4]),
        # One frame.
        ([123], 2, [0]),
        ([0, 40], 2, [0]),
    ],
)
def test_by_hand(pts: list[int], fps: int, numbers: list[int]) -> None:
    assert sequence_frames(list(pts), MS, fps=Fraction(fps)) == numbers
    assert brute_force(list(pts), MS, Fraction(fps)) == numbers


@given(
    st.lists(st.integers(1, 900), min_size=0, max_size=30),
    st.integers(-500, 500),
    st.sampled_from([Fraction(1, 1000), Fraction(1, 90), Fraction(1001, 30000)]),
    st.sampled_from([Fraction(2), Fraction(1, 2), Fraction(16), Fraction(7, 3)]),
)
def test_the_rule_in_its_own_words(
    gaps: list[int], first: int, time_base: Fraction, fps: Fraction
) -> None:
    pts = [first]
    for gap in gaps:
        pts.append(pts[-1] + gap % 60 + 1)
    assert sequence_frames(pts, time_base, fps=fps) == brute_force(pts, time_base, fps)


@pytest.mark.parametrize(
    ("seconds", "needed", "num_frames"),
    [
        # 1.0 s of 25 fps ends at 0.96 s: 3 points at 2 fps, 5 at 4 fps.
        (1.0, 3, 3),
        (1.0, 4, 5),
        (1.0, 8, 9),
        # 0.2 s ends at 0.16 s: at 16 fps points at 0, 62.5, 125 ms, and one at 187.5 < 191.25.
        (0.2, 4, 4),
        # 4 at 16 fps is too few; at 20 fps they lie 50 ms apart: 0, ..., 150.
        (0.2, 5, None),
        (0.04, 1, 1),
        (0.04, 2, None),
    ],
)
def test_too_few_frames_are_sampled_faster(
    seconds: float, needed: int, num_frames: int | None
) -> None:
    pts = list(range(0, round(seconds * 1000), 40))
    found = frames_to_sample(pts, MS, FrameSettings(min_frames=needed))
    assert (None if found is None else len(found)) == num_frames


def test_sizes() -> None:
    assert sampled_size(1920, 1080, FrameSettings()) == (1920, 1080)
    assert sampled_size(1920, 1080, FrameSettings(short_side=270)) == (480, 270)
    assert sampled_size(1080, 1920, FrameSettings(short_side=270)) == (270, 480)
    assert sampled_size(640, 360, FrameSettings(short_side=360)) == (640, 360)
    assert sampled_size(640, 360, FrameSettings(square=448, short_side=100)) == (448, 448)


def test_settings_survive_json() -> None:
    settings = LookSettings(embedding_frames=FrameSettings(min_frames=8, square=224))
    assert from_plain(LookSettings, to_plain(settings)) == settings


def decoded(path: Path, size: tuple[int, int] | None = None) -> list[np.ndarray]:
    """Return all frames of a video as RGB, by PyAV's own conversion."""
    with av.open(str(path)) as container:
        width, height = size or (None, None)
        return [
            frame.to_ndarray(format="rgb24", width=width, height=height)
            for frame in container.decode(video=0)
        ]


def test_the_look_writes_the_frames_and_sees_the_rest_unchanged(
    made_video: Callable[[str, VideoSpec], Path], tmp_path: Path
) -> None:
    path = made_video("clip.mp4", VideoSpec(seconds=2.0, size=(64, 48), b_frames=2))
    plain = look(path, LookSettings(), preview_folder=tmp_path)
    settings = LookSettings(embedding_frames=FrameSettings(fps=2.0))
    seen = look(path, settings, preview_folder=tmp_path, frames_folder=tmp_path / "frames")
    assert seen == plain
    kept = np.load(embedding_frames(tmp_path / "frames"), allow_pickle=False)
    # 50 frames of 25 per second: the last PTS is 1.96 s, so the fifth point lies at 2.0 s. A
    # point at 0.5 s lies between frames 12 and 13, at 0.48 and 0.52 s: the earlier one.
    assert kept.dtype == np.uint8
    assert kept.shape == (5, 48, 64, 3)
    frames = np.stack(decoded(path)).astype(int)
    # Chroma is scaled otherwise, so not every pixel is equal; another frame is farther off.
    apart = [np.abs(frames - one).mean(axis=(1, 2, 3)) for one in kept.astype(int)]
    assert [int(one.argmin()) for one in apart] == [0, 12, 25, 37, 49]
    assert max(one.min() for one in apart) < 3
    assert list(tmp_path.glob("frames/*")) == [tmp_path / "frames" / "embedding.npy"]


def test_frames_that_are_needed_twice_are_there_twice(
    made_video: Callable[[str, VideoSpec], Path], tmp_path: Path
) -> None:
    slow = VideoSpec(seconds=3.0, size=(64, 48), fps=Fraction(1))
    path = made_video("slow.mp4", slow)
    settings = LookSettings(embedding_frames=FrameSettings(min_frames=4, square=32))
    look(path, settings, preview_folder=tmp_path, frames_folder=tmp_path)
    kept = np.load(embedding_frames(tmp_path), allow_pickle=False)
    assert kept.shape == (5, 32, 32, 3)
    assert np.array_equal(kept[0], kept[1])
    assert np.array_equal(kept[2], kept[3])
    assert not np.array_equal(kept[1], kept[2])
    assert not np.array_equal(kept[3], kept[4])


def test_a_clip_of_too_few_frames_is_noted(
    made_video: Callable[[str, VideoSpec], Path], tmp_path: Path
) -> None:
    path = made_video("short.mp4", VideoSpec(seconds=0.12, size=(64, 48)))
    settings = LookSettings(embedding_frames=FrameSettings(min_frames=8))
    seen = look(path, settings, preview_folder=tmp_path, frames_folder=tmp_path / "frames")
    assert seen.notes == {"embedding_missing": "too_few_frames"}
    assert not (tmp_path / "frames").exists()
    plain = look(path, LookSettings(), preview_folder=tmp_path)
    assert dataclasses.replace(seen, notes={}) == plain
