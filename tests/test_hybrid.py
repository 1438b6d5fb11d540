"""The rule of hybrid: what it takes for a boundary, on frames and scores made for it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from shot_videos import ShotVideo, make_shots
from wrong_use import use

from transforms.shots.frame_changes import frame_changes
from transforms.shots.hybrid import HybridThresholds, hybrid_boundaries
from transforms.shots.score_windows import Frames

FOUND_BY = HybridThresholds(
    supported=0.02,
    change=8,
    stands_out=2.5,
    alone_change=15,
    alone_stands_out=4,
    gradual=0.3,
    fade=0.2,
    returns=0.45,
    similar=0.95,
    one_way=0.8,
    dip=0.2,
)


def picture(seed: int, low: int = 40, high: int = 160) -> Frames:
    """Return one picture of soft blocks."""
    blocks = np.random.default_rng(seed).integers(low, high, (9, 16, 3))
    return blocks.repeat(3, axis=0).repeat(3, axis=1).astype(np.uint8)


def still(*shots: tuple[int, int]) -> Frames:
    """Return shots of ``(picture, frames)`` in which nothing moves."""
    return np.concatenate([np.repeat(picture(seed)[None], count, 0) for seed, count in shots])


def lit(frames: Frames, gains: dict[int, float]) -> Frames:
    """Return the frames with some of them brighter or darker."""
    found = frames.astype(float)
    for number, gain in gains.items():
        found[number] *= gain
    return np.clip(found, 0, 255).astype(np.uint8)


def starts(frames: Frames, peaks: dict[int, float], many: slice = slice(0, 0)) -> list[int]:
    """Return the first frames of shots, with one-hot scores by frame, all others 0."""
    scores = np.zeros((len(frames), 2), np.float32)
    for frame, score in peaks.items():
        scores[frame, 0] = score
    scores[many, 1] = 0.9
    found: NDArray[np.bool_] = hybrid_boundaries(
        scores, frame_changes(frames), threshold=0.4, found_by=FOUND_BY
    )
    return (np.flatnonzero(found) + 1).tolist()


CUT = still((1, 40), (2, 40))
FLASH = lit(still((1, 80)), {40: 1.5, 41: 1.5})
ON = lit(
    still((1, 80)), dict.fromkeys(range(36), 0.3) | {n: 0.3 + (n - 35) / 10 for n in range(36, 42)}
)


def dissolve(length: int = 12) -> Frames:
    """Return two shots, dissolved from frame 34 on."""
    first, second = picture(1).astype(float), picture(2)
    share = np.clip((np.arange(80) - 33) / (length + 1), 0, 1)[:, None, None, None]
    return (first * (1 - share) + second * share).astype(np.uint8)


def fade() -> Frames:
    """Return two shots, faded through black around frame 40."""
    return lit(CUT, {n: abs(n - 40) / 8 for n in range(33, 48)})


@pytest.mark.parametrize(
    ("frames", "peaks", "expected"),
    [
        pytest.param(CUT, {39: 0.5}, [40], id="what the network sees"),
        pytest.param(CUT, {39: 0.03}, [40], id="a cut that the network hardly sees"),
        pytest.param(CUT, {}, [40], id="a cut that the network does not see"),
        pytest.param(CUT, {38: 0.5}, [40], id="the network is one frame off"),
        pytest.param(CUT, {39: 0.95, 42: 0.5}, [40], id="peaks close by are one"),
        pytest.param(FLASH, {39: 0.5}, [], id="flash"),
        pytest.param(FLASH, {41: 0.6}, [], id="its end"),
        pytest.param(FLASH, {39: 0.95}, [40], id="the network is sure"),
        pytest.param(ON, {38: 0.5}, [], id="light goes on"),
        pytest.param(dissolve(), {39: 0.5}, [40], id="dissolve"),
        pytest.param(dissolve(), {39: 0.2}, [], id="improbable dissolve"),
        pytest.param(fade(), {43: 0.25}, [44], id="fade"),
        pytest.param(fade(), {43: 0.1}, [], id="improbable fade"),
        pytest.param(still((1, 80)), {79: 0.9}, [], id="the last frame begins nothing behind it"),
        pytest.param(still((1, 1)), {0: 0.9}, [], id="one frame"),
        pytest.param(still((1, 12)), {}, [], id="below a window"),
    ],
)
def test_boundaries(frames: Frames, peaks: dict[int, float], expected: list[int]) -> None:
    assert starts(frames, peaks) == expected


def test_a_long_run_within_a_transition_supports_the_network() -> None:
    assert starts(dissolve(), {39: 0.35}) == []
    assert starts(dissolve(), {39: 0.35}, slice(34, 46)) == [40]
    assert starts(dissolve(), {39: 0.25}, slice(34, 46)) == []


def test_a_flash_is_none_where_the_camera_moves() -> None:
    moving = np.stack([np.roll(picture(1), 3 * n, axis=1) for n in range(80)])
    assert starts(lit(moving, {40: 1.55, 41: 1.55, 42: 1.55}), {39: 0.3, 42: 0.3}) == []


def test_a_keyframe_pulse_is_no_cut() -> None:
    rng = np.random.default_rng(3)
    pulses = still((1, 96)).astype(int)
    for first in range(0, 96, 12):
        pulses[first : first + 12] += rng.integers(-8, 9, (27, 48, 3))
    assert starts(np.clip(pulses, 0, 255).astype(np.uint8), {}) == []


def test_compat_and_hybrid_exclude_each_other(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    make_shots(tmp_path / "raw" / "a.mp4", ShotVideo((4,)))
    paths = ("--input_video_path", tmp_path / "raw", "--output_clip_path", tmp_path / "out")
    ended = use(capsys, "split", *paths, "--splitting_algorithm", "hybrid", "--transnetv2_compat")
    assert ended.status == 1
    ended.told("transnetv2_compat", "--splitting_algorithm transnetv2")


def test_the_stored_thresholds_say_where_they_are_from() -> None:
    from benchmarks.shot_thresholds import CHOICES, COMMAND, SEED
    from transforms.shots import hybrid

    stored = json.loads(hybrid._FILE.read_text(encoding="utf-8"))
    assert (stored["command"], stored["seed"]) == (COMMAND, SEED)
    for name, value in stored["thresholds"].items():
        assert value in CHOICES[name]
