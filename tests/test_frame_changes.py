"""What small frames tell: against the definitions, written out; and by segments."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.records import Video, VideoFacts
from transforms.shots.frame_changes import REACH, FrameChanges, frame_changes
from transforms.shots.score_windows import MARGIN, Frames, segments_of
from transforms.shots.store_scores import frame_changes_of
from transforms.shots.video_segment import VideoSegment


def noise(num_frames: int, seed: int = 0) -> Frames:
    """Return frames that differ, in brightness and contrast too; some repeat, one is flat."""
    rng = np.random.default_rng(seed)
    shown = [rng.integers(0, high, (27, 48, 3)) for high in rng.integers(2, 256, num_frames)]
    frames = np.stack(shown).astype(np.uint8)
    frames[rng.integers(num_frames)] = frames[0]
    frames[rng.integers(num_frames)] = 77
    return frames


def apart(one: Frames, other: Frames) -> float:
    return float(np.abs(one.astype(float) - other).mean())


def alike(one: Frames, other: Frames) -> float:
    first, second = (frame.astype(float).mean(axis=-1).ravel() for frame in (one, other))
    if first.std() == 0 or second.std() == 0:
        return -1.0
    return float(np.corrcoef(first, second)[0, 1])


def written_out(frames: Frames) -> FrameChanges:
    """Return the features by their definitions, frame by frame."""
    count = len(frames)
    rows = []
    for i in range(count):
        around = [
            apart(frames[a], frames[b])
            for a, b in itertools.product(range(i - 5, i), range(i, i + 5))
            if a >= 0 and b < count and 2 <= b - a <= 5
        ]
        far = [
            alike(frames[a], frames[b])
            for a, b in itertools.product(range(i - 14, i - 10), range(i + 11, i + 15))
            if a >= 0 and b < count
        ]
        grey = frames[i].astype(float).mean(axis=-1)
        change = apart(frames[i - 1], frames[i]) if i else 0.0
        rows.append((change, min([255.0, *around]), max([-1.0, *far]), grey.mean(), grey.std()))
    return FrameChanges(*np.array(rows).T)


@pytest.mark.parametrize("num_frames", [1, 2, 5, 23, 60])
def test_features_are_what_they_are_said_to_be(num_frames: int) -> None:
    frames = noise(num_frames)
    expected = written_out(frames)
    for name, values in frame_changes(frames)._asdict().items():
        assert values.dtype == np.float32
        assert values == pytest.approx(getattr(expected, name), abs=1e-3), name


def test_the_margin_of_a_segment_is_enough() -> None:
    assert REACH <= MARGIN


def segment_of(frames: Frames, segment: object, path: Path) -> VideoSegment:
    start, end = segment.seen  # type: ignore[attr-defined]
    np.save(path, frames[start:end])
    video = Video("file:///a.mp4", "a.mp4", "a.mp4", 1)
    return VideoSegment(video, _FACTS, segment, frames_path=str(path))  # type: ignore[arg-type]


_FACTS = VideoFacts.__new__(VideoFacts)


@settings(max_examples=15, deadline=None)
@given(num_frames=st.integers(1, 330), windows=st.integers(1, 7), seed=st.integers(0, 99))
def test_segments_of_any_length_are_one_pass(
    num_frames: int, windows: int, seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    frames = noise(num_frames, seed)
    path = tmp_path_factory.mktemp("frames") / "frames.npy"
    parts = [
        frame_changes_of(segment_of(frames, segment, path))
        for segment in segments_of(num_frames, windows_per_segment=windows)
    ]
    for name, values in frame_changes(frames)._asdict().items():
        assert np.array_equal(np.concatenate([part[name] for part in parts]), values), name
