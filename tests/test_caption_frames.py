"""Which frames a caption model sees: the golden tables of contract §1.13."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.annotate.caption_frames import (
    MAX_PIXELS,
    MIN_PIXELS,
    caption_frame_numbers,
    caption_frame_size,
    num_caption_frames,
)

# (sampling fps, frames, fps of the clip) -> frames seen
COUNTS = {
    (2, 255, 30): 16,
    (2, 299, 29.97): 20,
    (2, 255, 24): 22,
    (2, 255, 25): 20,
    (2, 383, 60): 12,
    (2, 30, 30): 4,
    (1, 255, 30): 8,
}


@pytest.mark.parametrize("given_numbers", COUNTS)
def test_counts_are_upstream_s(given_numbers: tuple[float, int, float]) -> None:
    sampling_fps, num_frames, fps = given_numbers
    found = num_caption_frames(num_frames, fps=fps, sampling_fps=sampling_fps)
    assert found == COUNTS[given_numbers]


def test_at_most_768_frames() -> None:
    assert num_caption_frames(100_000, fps=1, sampling_fps=2) == 768


# (height, width, frames) -> (height, width)
SIZES = {
    (720, 1280, 16): (560, 1008),
    (720, 1280, 34): (560, 1008),
    (720, 1280, 120): (420, 728),
    (480, 640, 16): (476, 644),
    (360, 640, 16): (364, 644),
}


@pytest.mark.parametrize("source", SIZES)
def test_sizes_are_upstream_s(source: tuple[int, int, int]) -> None:
    height, width, num_frames = source
    found = caption_frame_size(width, height, num_frames=num_frames)
    assert found == SIZES[source][::-1]


@given(st.integers(16, 4000), st.integers(16, 4000), st.integers(2, 384).map(lambda half: 2 * half))
def test_sizes_keep_their_bounds(width: int, height: int, num_frames: int) -> None:
    if max(width, height) > 8 * min(width, height):
        return
    found = caption_frame_size(width, height, num_frames=num_frames)
    assert all(side % 28 == 0 for side in found)
    assert MIN_PIXELS * 0.7 <= found[0] * found[1] <= MAX_PIXELS
    assert (found[0] >= found[1]) == (width >= height) or found[0] == found[1]


def test_an_odd_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="200 times"):
        caption_frame_size(4020, 20, num_frames=4)


@given(st.integers(0, 500), st.integers(1, 2000), st.integers(2, 100))
def test_numbers_are_spread_over_the_window(start: int, length: int, count: int) -> None:
    found = caption_frame_numbers((start, start + length), count)
    assert len(found) == count
    assert (found[0], found[-1]) == (start, start + length - 1)
    assert np.abs(np.array(found) - np.linspace(start, start + length - 1, count)).max() <= 0.5
