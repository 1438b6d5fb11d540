"""Scenes from decisions: the golden tables of the contract (§1.5)."""

from __future__ import annotations

import pytest

from transforms.shots.scenes import (
    SceneLimits,
    clip_scenes,
    scenes_between,
    upstream_scenes,
)

DEFAULTS = {
    "min_length_s": 2.0,
    "min_length_frames": 48,
    "max_length_s": 60.0,
    "max_length_mode": "stride",
    "crop_s": 0.5,
}


def decisions(text: str) -> list[bool]:
    return [digit == "1" for digit in text]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0001000000", [(0, 3), (4, 9)]),
        ("0001100000", [(0, 3), (5, 9)]),
        ("1100000000", [(0, 10)]),
        ("0000000011", [(0, 8)]),
        ("0001000100", [(0, 3), (4, 7), (8, 9)]),
        ("0000000001", [(0, 9)]),
        ("1111", [(0, 4)]),
        ("0101010", [(0, 1), (2, 3), (4, 5), (6, 6)]),
    ],
)
def test_upstreams_scenes(text: str, expected: list[tuple[int, int]]) -> None:
    assert upstream_scenes(decisions(text)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0001000000", [(0, 3), (4, 10)]),
        ("0001100000", [(0, 3), (5, 10)]),
        ("1100000000", [(2, 10)]),
        ("0000000011", [(0, 8)]),
        ("0000000001", [(0, 9)]),
        ("1111", []),
        ("0101010", [(0, 1), (2, 3), (4, 5), (6, 7)]),
        ("0000", [(0, 4)]),
    ],
)
def test_scenes_without_upstreams_defects(text: str, expected: list[tuple[int, int]]) -> None:
    assert scenes_between(decisions(text)) == expected


def test_the_defaults_at_30_frames_a_second() -> None:
    assert SceneLimits.at(30.0, **DEFAULTS) == SceneLimits(60, 1800, "stride", 15)


def test_the_longer_least_length_counts() -> None:
    assert SceneLimits.at(10.0, **DEFAULTS).min_length == 48
    assert SceneLimits.at(23.976, **DEFAULTS).min_length == 48
    assert SceneLimits.at(25.0, **DEFAULTS).min_length == 50


@pytest.mark.parametrize(
    ("scene", "expected"),
    [
        ((0, 900), [(15, 885)]),
        ((0, 4000), [(15, 1785), (1815, 3585), (3615, 3985)]),
        ((0, 89), []),
        ((0, 90), [(15, 75)]),
        ((0, 1859), [(15, 1785)]),
        ((0, 1860), [(15, 1785)]),
        ((0, 1890), [(15, 1785), (1815, 1875)]),
    ],
)
def test_golden_scenes(scene: tuple[int, int], expected: list[tuple[int, int]]) -> None:
    assert list(clip_scenes([scene], SceneLimits.at(30.0, **DEFAULTS))) == expected


def test_truncating_keeps_the_beginning() -> None:
    limits = SceneLimits.at(30.0, **{**DEFAULTS, "max_length_mode": "truncate"})
    assert list(clip_scenes([(0, 4000)], limits)) == [(15, 1785)]


@pytest.mark.parametrize(("length", "num_pieces"), [(3620, 2), (3660, 3)])
def test_chopping_alone(length: int, num_pieces: int) -> None:
    limits = SceneLimits(60, 1800, "stride", 0)
    pieces = list(clip_scenes([(0, length)], limits))
    assert len(pieces) == num_pieces
    assert pieces[0] == (0, 1800)
