"""Bins of the dataset: golden values of the contract, every edge, nothing between two bins."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.shards.bins import aspect_ratio_bin, duration_bin, frames_bin, resolution_bin


@pytest.mark.parametrize(
    ("width", "height", "seconds", "expected"),
    [
        (1920, 1080, 8, ("1080", "16_9", "5_10")),
        (1920, 1080, 50, ("1080", "16_9", "30_inf")),
        (640, 480, 15, ("lt_720", "4_3", "10_30")),
        (1600, 900, 7, ("720", "16_9", "5_10")),
        (1600, 900, 20, ("720", "16_9", "10_30")),
        (1600, 900, 100, ("720", "16_9", "30_inf")),
        (10000, 100, 8, ("lt_720", None, "5_10")),
    ],
)
def test_golden_values_of_the_contract(width, height, seconds, expected):
    found = (
        resolution_bin(width, height),
        aspect_ratio_bin(width, height),
        duration_bin(seconds * 30, 30.0),
    )
    assert found == expected


@pytest.mark.parametrize(
    ("shortest", "expected"), [(719, "lt_720"), (720, "720"), (1079, "720"), (1080, "1080")]
)
def test_resolution_goes_by_the_shortest_side(shortest, expected):
    assert resolution_bin(4000, shortest) == expected
    assert resolution_bin(shortest, 4000) == expected


@pytest.mark.parametrize(
    ("width", "expected"),
    # The height is 10000, so widths are the ratio with four decimals; upper ends belong to a bin.
    [
        (1, "9_16"),
        (6500, "9_16"),
        (6501, "3_4"),
        (8800, "3_4"),
        (8801, "1_1"),
        (11600, "1_1"),
        (11601, "4_3"),
        (15500, "4_3"),
        (15501, "16_9"),
        (100000, "16_9"),
        (100001, None),
    ],
)
def test_aspect_ratio_edges(width, expected):
    assert aspect_ratio_bin(width, 10000) == expected


@pytest.mark.parametrize(
    ("num_frames", "expected"),
    [(124, None), (125, "5_10"), (250, "5_10"), (251, "10_30"), (750, "10_30"), (751, "30_inf")],
)
def test_duration_edges_belong_to_the_first_bin(num_frames, expected):
    assert duration_bin(num_frames, 25.0) == expected


@pytest.mark.parametrize("framerate", [0.0, -1.0])
def test_a_clip_without_frame_rate_has_no_duration_bin(framerate):
    assert duration_bin(900, framerate) is None


@given(st.integers(0, 100_000), st.integers(1, 5000))
def test_a_window_lies_in_the_bin_that_holds_its_first_frame(start, size):
    first, last = map(int, frames_bin(start, size).split("_"))
    assert first <= start <= last
    assert last - first + 1 == size
    assert first % size == 0


@given(st.integers(1, 10_000), st.integers(1, 10_000))
def test_every_picture_up_to_ten_to_one_has_an_aspect_ratio_bin(width, height):
    assert (aspect_ratio_bin(width, height) is None) == (width > 10 * height)
