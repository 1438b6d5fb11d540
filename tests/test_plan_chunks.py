"""Chunks, runs and the plan file."""

from __future__ import annotations

from fractions import Fraction

import pytest
from records_for_tests import make_facts

from transforms.clips.plan import (
    Plan,
    chunk_ranges,
    make_plan,
    plan_to_json,
    read_plan,
    run_ranges,
)
from transforms.json_files import create_json
from transforms.records import Span, SplitVideo, Video


@pytest.mark.parametrize(
    ("durations", "size", "expected"),
    [
        ([10.0] * 60, 32, [26, 26, 8]),
        ([60.0] * 10, 32, [5, 5]),
        ([10.9] * 3, 1, [1, 1, 1]),
        ([7.9] * 3, 1, [2, 1]),
        ([], 32, []),
        ([0.5] * 5, 1, [5]),
    ],
)
def test_chunks_close_at_whole_seconds(
    durations: list[float], size: int, expected: list[int]
) -> None:
    ranges = chunk_ranges(durations, size)
    assert [end - first for first, end in ranges] == expected
    assert [index for first, end in ranges for index in range(first, end)] == list(
        range(len(durations))
    )


def test_chunks_that_share_an_entry_keyframe_are_one_run() -> None:
    assert run_ranges([0, 0, 0]) == [(0, 3)]
    assert run_ranges([0, 1, 1, 2]) == [(0, 1), (1, 3), (3, 4)]
    assert run_ranges([]) == []


def example_plan() -> Plan:
    spans = (
        Span("id-0", 0.0, 10.0, Fraction(0), Fraction(10)),
        Span("id-1", 10.0, 12.04, Fraction(10), None),
    )
    video = Video("/v/a b.mp4", "a b.mp4", "s3://bucket/a b.mp4", 77)
    facts = make_facts(average_rate=Fraction(30000, 1001), notes=("duration_from_packets",))
    return make_plan(
        SplitVideo(video, facts, spans, ((12.04, 13.0, "shorter_than_min_clip_length"),)),
        source_identity="77-abc",
        chunks=[(0, 2)],
        runs=[(0, 1)],
        spans_fingerprint="f00",
    )


def test_a_plan_survives_its_file(tmp_path) -> None:
    plan = example_plan()
    uri = str(tmp_path / "plan.json")
    assert create_json(uri, plan_to_json(plan))
    assert read_plan(uri) == plan
