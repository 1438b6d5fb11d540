"""Distributions of scores: counted per chunk, added up per video and in the summary.

A distribution is a few numbers however many clips there are, so that the summary never reads a
clip's metadata again.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from typing import Any

from transforms.clips.score_fields import stored_scores
from transforms.filters.score_limits import EDGES, LIMITS, Limit

Distribution = dict[str, Any]
"""``min``, ``max`` and ``counts``, one number of clips per bin of ``EDGES``."""


def count_scores(metas: Iterable[Mapping[str, Any]]) -> dict[str, Distribution]:
    """Return the distribution of each score over the clips that have it."""
    found: dict[str, list[float]] = {}
    for meta in metas:
        for name, value in stored_scores(dict(meta)):
            if name in EDGES:
                found.setdefault(name, []).append(value)
    return {name: _distribution(name, found[name]) for name in EDGES if name in found}


def _distribution(name: str, values: list[float]) -> Distribution:
    edges = EDGES[name]
    counts = [0] * len(edges)
    for value in values:
        counts[max(0, bisect_right(edges, value) - 1)] += 1
    return {"min": min(values), "max": max(values), "counts": counts}


def add_distributions(parts: Iterable[Mapping[str, Distribution]]) -> dict[str, Distribution]:
    """Return the distributions over all parts; a part may lack any of them."""
    total: dict[str, Distribution] = {}
    for part in parts:
        for name, added in part.items():
            if name not in total:
                total[name] = {**added, "counts": list(added["counts"])}
                continue
            one = total[name]
            one["min"], one["max"] = min(one["min"], added["min"]), max(one["max"], added["max"])
            pairs = zip(one["counts"], added["counts"], strict=True)
            one["counts"] = [first + second for first, second in pairs]
    return {name: total[name] for name in EDGES if name in total}


def score_summary(distributions: Mapping[str, Distribution]) -> dict[str, dict[str, Any]]:
    """Return what the summary says of each score: its distribution and what thresholds keep."""
    summary = {}
    for name, one in distributions.items():
        num_clips = sum(one["counts"])
        summary[name] = {
            "num_clips": num_clips,
            **one,
            "edges": list(EDGES[name]),
            "kept_by_threshold": {
                limit.option: _kept_shares(limit, one["counts"], num_clips)
                for limit in LIMITS
                if limit.score == name
            },
        }
    return summary


def _kept_shares(limit: Limit, counts: list[int], num_clips: int) -> list[float]:
    """Return for each edge, taken as the threshold, the share of clips that it would keep."""
    num_below = [sum(counts[:index]) for index in range(len(counts))]
    if limit.bad == "at_least":
        return [below / num_clips for below in num_below]
    return [(num_clips - below) / num_clips for below in num_below]
