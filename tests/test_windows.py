"""Caption windows: upstream's golden tables and what must hold for every clip length."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.annotate.window_options import Windows
from transforms.annotate.windows import caption_windows, inclusive_window

# Inclusive frame numbers, copied from upstream-contract §1.13 (size 256, threshold 128).
GOLDEN_256_128 = {
    0: [],
    3: [],
    4: [(0, 3)],
    256: [(0, 255)],
    257: [(0, 256)],
    383: [(0, 382)],
    384: [(0, 255), (256, 383)],
    500: [(0, 255), (256, 499)],
    512: [(0, 255), (256, 511)],
    600: [(0, 255), (256, 599)],
    640: [(0, 255), (256, 511), (512, 639)],
    900: [(0, 255), (256, 511), (512, 767), (768, 899)],
    1000: [(0, 255), (256, 511), (512, 767), (768, 999)],
}


@pytest.mark.parametrize("num_frames", GOLDEN_256_128)
def test_windows_of_the_golden_table(num_frames: int) -> None:
    windows = caption_windows(num_frames, size=256, remainder=128)
    assert [inclusive_window(window) for window in windows] == GOLDEN_256_128[num_frames]


def test_upstreams_function_defaults() -> None:
    assert caption_windows(192, size=128, remainder=64) == [(0, 128), (128, 192)]


def test_option_defaults_are_upstreams() -> None:
    assert Windows().model_dump() == {
        "captioning_window_size": 256,
        "captioning_remainder_threshold": 128,
    }


@given(st.integers(4, 5000), st.integers(4, 400), st.integers(1, 500))
def test_windows_tile_the_clip(num_frames: int, size: int, remainder: int) -> None:
    windows = caption_windows(num_frames, size=size, remainder=remainder)
    assert windows[0][0] == 0
    assert windows[-1][1] == num_frames
    assert all(left[1] == right[0] for left, right in itertools.pairwise(windows))
    assert all(end - start == size for start, end in windows[:-1])
    last = windows[-1][1] - windows[-1][0]
    assert 1 <= last < size + max(1, min(remainder, size))
    if len(windows) > 1:
        assert last >= min(remainder, size)


@pytest.mark.parametrize(
    ("num_frames", "size", "remainder"), [(-1, 256, 128), (10, 0, 128), (10, 256, 0)]
)
def test_impossible_numbers_are_refused(num_frames: int, size: int, remainder: int) -> None:
    with pytest.raises(ValueError, match=r"num_frames >= 0.*got"):
        caption_windows(num_frames, size=size, remainder=remainder)


@pytest.mark.parametrize("window", [(4, 4), (5, 4), (-1, 3)])
def test_empty_window_has_no_inclusive_form(window: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="0 <= start < end"):
        inclusive_window(window)
