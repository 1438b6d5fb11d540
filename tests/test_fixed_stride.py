"""Fixed stride: golden spans and ids of contract §1.5."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from records_for_tests import make_facts

from transforms.errors import MediaError
from transforms.records import ProbedVideo, SplitVideo, Video
from transforms.shots.fixed_stride import split_fixed_stride, stride_pieces
from transforms.shots.spans import clip_uuid, upstream_end_seconds
from transforms.shots.splitting import Splitting

GOLDEN_IDS = [
    ("s3://bucket/raw/sample.mp4", 0.0, 10.0, "d14ff621-a274-5cef-93b6-62b8016d6976"),
    ("s3://bucket/raw/sample.mp4", 350.0, 360.0, "019941b7-f7ac-58d6-a991-2ab5ab7d3cd8"),
    ("/data/videos/a.mp4", 0.0, 10.0, "41efdbc6-14af-5825-833e-58a5c3ba3d8b"),
    ("test_session_123", 0.0, 10.0, "4bd03d85-bf2c-5b9a-977f-717176eca36a"),
]


@pytest.mark.parametrize(("source", "start", "end", "expected"), GOLDEN_IDS)
def test_clip_ids_are_upstreams(source: str, start: float, end: float, expected: str) -> None:
    assert clip_uuid(source, start, end) == expected


def split(seconds: float, *, length: float, minimum: float, limit: int = 0) -> SplitVideo:
    facts = make_facts(duration_seconds=seconds, average_rate=Fraction(10))
    video = Video("/v/a.mp4", "a.mp4", "s3://bucket/raw/sample.mp4", 1)
    config = Splitting(
        fixed_stride_split_duration=length,
        fixed_stride_min_clip_length_s=minimum,
        limit_clips=limit,
    )
    return split_fixed_stride(ProbedVideo(video, facts), config)


@pytest.mark.parametrize(
    ("seconds", "length", "minimum", "expected"),
    [
        (30, 10, 2, [(0, 10), (10, 20), (20, 30)]),
        (31.5, 10, 2, [(0, 10), (10, 20), (20, 30)]),
        (32.0, 10, 2, [(0, 10), (10, 20), (20, 30), (30, 32)]),
        (1.5, 10, 2, []),
        (12, 100_000_000, 2, [(0, 12)]),
        (12, 10, 8, [(0, 10)]),
        (30, 10, 5, [(0, 10), (10, 20), (20, 30)]),
    ],
)
def test_golden_spans(
    seconds: float, length: float, minimum: float, expected: list[tuple[float, float]]
) -> None:
    spans = split(seconds, length=length, minimum=minimum).spans
    assert [(span.start_seconds, span.end_seconds) for span in spans] == expected


def test_first_clip_has_the_golden_id_and_exact_times() -> None:
    first, second = split(20, length=10, minimum=2).spans
    assert first.clip_id == "d14ff621-a274-5cef-93b6-62b8016d6976"
    assert (first.start, first.end) == (0, 10)
    assert (second.start, second.end) == (10, None), "the last span reaches to the true last frame"


def test_a_dropped_tail_is_accounted_for() -> None:
    assert split(31.5, length=10, minimum=2).uncovered == (
        (30.0, 31.5, "shorter_than_min_clip_length"),
    )


def test_limit_clips_keeps_the_first_and_accounts_for_the_rest() -> None:
    result = split(45, length=10, minimum=2, limit=2)
    assert [span.start_seconds for span in result.spans] == [0.0, 10.0]
    assert result.uncovered == ((20.0, 45.0, "limit_clips"),)


def test_limit_clips_of_exactly_the_number_of_clips_leaves_nothing_out() -> None:
    result = split(30, length=10, minimum=2, limit=3)
    assert len(result.spans) == 3
    assert result.uncovered == ()
    assert result.spans[-1].end is None


def test_end_is_computed_in_upstreams_order() -> None:
    facts = make_facts(
        duration_seconds=10.01,
        average_rate=Fraction(30000, 1001),
        first_pts=1001,
        time_base=Fraction(1, 30000),
    )
    duration = int(10.01 * (30000 / 1001)) / (30000 / 1001)
    # float32 of 1001/30000, written out: the id of the last clip is printed from this number.
    first = 0.033366665244102478
    assert upstream_end_seconds(facts) == (first + duration) - first


def test_no_duration_fails_by_name() -> None:
    with pytest.raises(MediaError, match=r"/v/a\.mp4.*gives no frame") as caught:
        split(0.05, length=10, minimum=2)
    assert caught.value.reason == "no_duration"


@given(
    tenths=st.integers(min_value=1, max_value=4000),
    length=st.sampled_from([0.5, 2.5, 3.0, 10.0]),
)
def test_pieces_tile_the_video(tenths: int, length: float) -> None:
    end = tenths / 10
    pieces = list(stride_pieces(end, length_seconds=length))
    assert pieces[0].start == 0
    assert pieces[-1].end is None
    assert pieces[-1].end_seconds == end
    for before, after in pairwise(pieces):
        assert before.end == after.start
        assert before.end_seconds == after.start_seconds
        assert after.start - before.start == Fraction(length)
