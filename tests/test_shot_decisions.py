"""From scores to what is cut: changes, boundaries, transitions, pieces."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.shots.boundaries import boundaries_at, boundaries_with_transitions
from transforms.shots.content_change import content_change, shots_by_change
from transforms.shots.scene_spans import video_pieces
from transforms.shots.scenes import SceneLimits, scenes_between


def scores_of(one_hot: str, many_hot: str) -> np.ndarray:
    """Return scores from digits: 7 is 0.7."""
    columns = [[int(digit) / 10 for digit in text] for text in (one_hot, many_hot)]
    return np.array(columns, np.float32).T


@pytest.mark.parametrize(
    ("one_hot", "many_hot", "frames", "transitions"),
    [
        # A hard cut: the many-hot head sees one frame, or none.
        ("00090000", "00090000", "00010000", ()),
        ("00090000", "00000000", "00010000", ()),
        # A transition around its boundary, and one that begins right behind it.
        ("00090000", "00999900", "00111100", ((2, 6),)),
        ("00900000", "00099000", "00111000", ((3, 5),)),
        # Only a doubt: no boundary touches it.
        ("90000000", "00099000", "10000000", ()),
        # Two boundaries in one transition; a probability of just 0.5 is not within it.
        ("00900900", "00999999", "00111111", ((2, 8),)),
        ("00090000", "00595000", "00010000", ()),
    ],
)
def test_transitions_widen_the_boundaries_that_touch_them(
    one_hot: str, many_hot: str, frames: str, transitions: tuple[tuple[int, int], ...]
) -> None:
    scores = scores_of(one_hot, many_hot)
    found = boundaries_with_transitions(boundaries_at(scores, threshold=0.4), scores)
    assert "".join(str(int(flag)) for flag in found.frames) == frames
    assert found.transitions == transitions


def test_change_is_the_mean_over_pixels_and_colours() -> None:
    frames = np.zeros((4, 27, 48, 3), np.uint8)
    frames[1] = 255
    frames[2, :, :, 0] = 255
    frames[3] = frames[2]
    assert content_change(frames).tolist() == [0.0, 255.0, 170.0, 0.0]


@pytest.mark.parametrize(
    ("change", "shots"),
    [
        ([0], [(0, 1)]),
        ([0, 50], [(0, 1), (1, 2)]),
        ([0, 1, 15, 1], [(0, 4)]),
        ([0, 1, 16, 1], [(0, 2), (2, 4)]),
        # A pan: every frame differs as much.
        ([0, 40, 40, 40, 40], [(0, 5)]),
        # A cut within a pan must stand out three times.
        ([0, 20, 20, 60, 20, 20], [(0, 6)]),
        ([0, 20, 20, 61, 20, 20], [(0, 3), (3, 6)]),
        # The last frame has neighbours on one side only.
        ([0, 2, 2, 60], [(0, 3), (3, 4)]),
    ],
)
def test_shots_by_change(change: list[float], shots: list[tuple[int, int]]) -> None:
    assert shots_by_change(np.array(change, np.float32), threshold=15) == shots


@given(
    is_boundary=st.lists(st.booleans(), min_size=1, max_size=300),
    min_length=st.integers(0, 40),
    max_length=st.integers(1, 60),
    crop=st.integers(0, 10),
    limit_clips=st.integers(0, 3),
    mode=st.sampled_from(["truncate", "stride"]),
)
def test_every_frame_is_in_one_clip_or_has_one_reason(
    is_boundary: list[bool],
    min_length: int,
    max_length: int,
    crop: int,
    limit_clips: int,
    mode: str,
) -> None:
    limits = SceneLimits(min_length, max_length, mode, crop)  # type: ignore[arg-type]
    scenes = scenes_between(is_boundary)
    pieces = video_pieces(scenes, limits, num_frames=len(is_boundary), limit_clips=limit_clips)
    assert [start for start, _, _ in pieces] == [0, *(end for _, end, _ in pieces[:-1])]
    assert pieces[-1][1] == len(is_boundary)
    assert all(start < end for start, end, _ in pieces)
    clips = [(start, end) for start, end, why_not in pieces if not why_not]
    assert all(min_length <= end - start <= max_length for start, end in clips)
    assert not any(any(is_boundary[start:end]) for start, end in clips)
    assert not limit_clips or len(clips) <= limit_clips
