"""Windows on the global grid: any division into segments gives the scores of one pass."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.shots.score_windows import (
    Frames,
    Scores,
    Segment,
    score_segment,
    segments_of,
    windows_of,
)


def numbered_frames(num_frames: int) -> Frames:
    """Return frames that say which one they are."""
    frames = np.zeros((num_frames, 27, 48, 3), np.uint8)
    numbers = np.arange(num_frames)
    frames[:, 0, 0, 0], frames[:, 0, 0, 1] = numbers % 256, numbers // 256
    return frames


def numbers_in(window: Frames) -> list[int]:
    return [int(one) + 256 * int(two) for one, two in window[:, 0, 0, :2]]


def context_scores(windows: Iterable[Frames]) -> Iterator[Scores]:
    """Score every frame by all that the window shows, and by its place in it."""
    for window in windows:
        numbers = np.array(numbers_in(window), np.float64)
        seen = np.sum(numbers * np.arange(1, len(numbers) + 1))
        place = np.arange(len(numbers))
        yield np.stack([np.sin(seen + place), np.cos(numbers)], 1).astype(np.float32)


@pytest.mark.parametrize(
    ("num_frames", "lengths"), [(10, [35]), (100, [100, 75]), (120, [100, 95, 45])]
)
def test_upstreams_windows_get_shorter(num_frames: int, lengths: list[int]) -> None:
    (segment,) = segments_of(num_frames, windows_per_segment=100)
    windows = list(windows_of(segment, numbered_frames(num_frames), pad_end=False))
    assert [len(window) for window in windows] == lengths
    assert numbers_in(windows[0])[:26] == [0] * 26


def test_padded_windows_repeat_the_last_frame() -> None:
    (segment,) = segments_of(60, windows_per_segment=100)
    windows = list(windows_of(segment, numbered_frames(60), pad_end=True))
    assert [len(window) for window in windows] == [100, 100]
    assert numbers_in(windows[1]) == [*range(25, 60), *[59] * 65]


@pytest.mark.parametrize("pad_end", [True, False])
@given(num_frames=st.integers(1, 700), windows_per_segment=st.integers(1, 16))
def test_segments_score_as_one_pass(
    num_frames: int, windows_per_segment: int, pad_end: bool
) -> None:
    frames = numbered_frames(num_frames)
    (whole,) = segments_of(num_frames, windows_per_segment=1000)
    expected = score_segment(whole, frames, context_scores, pad_end=pad_end)
    assert expected.shape == (num_frames, 2)
    segments = segments_of(num_frames, windows_per_segment=windows_per_segment)
    parts = [
        score_segment(one, frames[slice(*one.seen)], context_scores, pad_end=pad_end)
        for one in segments
    ]
    assert np.array_equal(np.concatenate(parts), expected)


def test_a_segment_refuses_another_number_of_frames() -> None:
    with pytest.raises(ValueError, match="needs 75 frames, got 74"):
        list(windows_of(Segment(0, 1, 200), numbered_frames(74), pad_end=True))
