"""Distributions of scores and what thresholds keep, against numpy and by counting."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.clips.score_counts import add_distributions, count_scores, score_summary
from transforms.clips.score_fields import score_fields, stored_scores
from transforms.filters.score_limits import EDGES, LIMITS
from transforms.filters.score_options import ScoreFilters
from transforms.filters.scores import bad_score, is_bad, reject_bad_scores
from transforms.records import Clip, Rejection

SHARES = st.one_of(st.sampled_from(EDGES["black_share"]), st.floats(0, 1))


def metas_of(name: str, values: list[float]) -> list[dict[str, Any]]:
    return [{"scores": {name: value}} for value in values]


@settings(max_examples=60, deadline=None)
@given(st.lists(SHARES, min_size=1, max_size=40), st.integers(1, 5))
def test_counts_and_kept_shares_are_exact(values: list[float], num_chunks: int) -> None:
    for name in ("black_share", "picture_share", "brightness"):
        chunks = [metas_of(name, values[first::num_chunks]) for first in range(num_chunks)]
        total = score_summary(add_distributions(count_scores(chunk) for chunk in chunks))[name]
        edges = [*EDGES[name], np.inf]
        assert total["counts"] == np.histogram(values, edges)[0].tolist()
        assert (total["num_clips"], total["min"], total["max"]) == (
            len(values),
            min(values),
            max(values),
        )
        limits = [limit for limit in LIMITS if limit.score == name]
        assert set(total["kept_by_threshold"]) == {limit.option for limit in limits}
        for limit in limits:
            kept = [
                np.mean([not is_bad(value, limit, edge) for value in values])
                for edge in EDGES[name]
            ]
            assert total["kept_by_threshold"][limit.option] == pytest.approx(kept, abs=1e-12)


def test_edges_increase_from_zero_and_hold_every_default() -> None:
    config = ScoreFilters()
    for edges in EDGES.values():
        assert edges[0] == 0
        assert list(edges) == sorted(set(edges))
    for limit in LIMITS:
        if hasattr(config, limit.option):
            assert getattr(config, limit.option) in EDGES[limit.score]


def test_clips_without_scores_count_nowhere() -> None:
    assert count_scores([{}, {"motion_score": {}}]) == {}
    found = count_scores([{}, {"motion_score": {"global_mean": 0.00098}, "scores": {}}])
    assert list(found) == ["motion_global_mean"]
    assert found["motion_global_mean"]["counts"][4] == 1
    assert add_distributions([]) == {}


def test_metadata_and_back() -> None:
    scores = (
        ("black_share", 0.25),
        ("motion_global_mean", 0.5),
        *(("picture_height", 58.0), ("picture_left", 0.0), ("picture_share", 0.725)),
        *(("picture_top", 11.0), ("picture_width", 120.0)),
    )
    fields = score_fields(scores)
    assert fields == {
        "motion_score": {"global_mean": 0.5},
        "scores": {"black_share": 0.25, "picture_share": 0.725, "picture_box": [0, 11, 120, 58]},
    }
    assert stored_scores(fields) == scores
    assert score_fields(()) == {}
    assert stored_scores({}) == ()


@pytest.mark.parametrize(
    ("scores", "options", "expected"),
    [
        ({"black_share": 0.5}, {"black_filter": "enable"}, ("black", 0.5, 0.5)),
        ({"black_share": 0.49}, {"black_filter": "enable"}, None),
        ({"black_share": 1.0}, {"black_filter": "score-only"}, None),
        ({}, {"black_filter": "enable"}, None),
        ({"frozen_share": 0.9}, {"frozen_filter": "enable"}, ("frozen", 0.9, 0.9)),
        ({"sharpness": 19.9}, {"sharpness_filter": "enable"}, ("sharpness", 19.9, 20.0)),
        ({"sharpness": 20.0}, {"sharpness_filter": "enable"}, None),
        ({"brightness": 0.04}, {"brightness_filter": "enable"}, ("brightness", 0.04, 0.05)),
        ({"brightness": 0.95}, {"brightness_filter": "enable"}, ("brightness", 0.95, 0.95)),
        ({"picture_share": 0.8}, {"letterbox_filter": "enable"}, ("letterbox", 0.8, 0.9)),
    ],
)
def test_decisions(
    scores: dict[str, float], options: dict[str, str], expected: tuple[str, float, float] | None
) -> None:
    clip = Clip("a", "plan", "rel", 0, 0, scores=tuple(scores.items()))
    config = ScoreFilters(**options)
    assert bad_score(clip, config) == (expected and Rejection(*expected))
    decided = reject_bad_scores(clip, config)
    assert decided.outcome == ("rejected" if expected else "pending")


def test_the_first_rejection_stands() -> None:
    clip = Clip("a", "plan", "rel", 0, 0, scores=(("black_share", 1.0), ("brightness", 0.0)))
    both = ScoreFilters(black_filter="enable", brightness_filter="enable")
    assert reject_bad_scores(clip, both).rejection == Rejection("black", 1.0, 0.5)
    moved = clip.rejected(Rejection("motion", 0.0, 1.0))
    assert reject_bad_scores(moved, both) == moved


def test_brightness_thresholds_leave_room() -> None:
    with pytest.raises(ValueError, match="leaves nothing below"):
        ScoreFilters(brightness_min_threshold=0.6, brightness_max_threshold=0.6)
