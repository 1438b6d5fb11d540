"""Where a run's time went: every stage that ran and no other, parts that add up."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from run_command import Curated
from shot_videos import ShotVideo, make_shots

from beam_pipeline.report import write_performance_stats
from transforms.formats.run_record import PerformanceStats, StageSeconds
from transforms.media.observers.luma_scores import SCORERS

SCORES = [option for name in SCORERS for option in (f"--{name}_filter", "score-only")]
LENGTHS = ("--transnetv2_min_length_s", "0", "--transnetv2_min_length_frames", "1")


def stats_of(curated: Curated, *options: str) -> PerformanceStats:
    assert curated.curate(*options, "--no-predict") == 0
    return PerformanceStats.model_validate(curated.read("performance_stats_0.json"))


def test_every_stage_that_ran_is_told(tmp_path: Path) -> None:
    make_shots(tmp_path / "raw" / "a.mp4", ShotVideo((30, 40, 30)))
    curated = Curated.below(tmp_path, tmp_path / "raw")
    observers = ["--motion_filter", "score-only", *SCORES, "--generate_previews"]
    detection = ("--splitting_algorithm", "content", *LENGTHS)
    stats = stats_of(curated, *detection, *observers)
    seconds = stats.stage_seconds.model_dump(exclude_none=True)
    # No network was asked.
    assert set(seconds) == set(StageSeconds.model_fields) - {"inference"}
    assert all(value >= 0 for value in seconds.values())
    assert seconds["cut"] >= seconds["cut_decode"] > 0
    assert seconds["frames"] > 0
    parts = sum(value for name, value in seconds.items() if name.startswith("look_"))
    # What is left is starting the observers and packing what they found.
    assert 0.5 * seconds["look"] <= parts <= seconds["look"] + 0.001
    assert not any(name.startswith("seconds_of") for name in stats.counters)
    assert (stats.counters["clips_cut"], stats.counters["frames_detected"]) == (3, 100)


def test_stages_that_did_not_run_are_left_out(tmp_path: Path) -> None:
    make_shots(tmp_path / "raw" / "a.mp4", ShotVideo((60,)))
    curated = Curated.below(tmp_path, tmp_path / "raw")
    stats = stats_of(curated, "--splitting_algorithm", "fixed-stride")
    assert set(stats.stage_seconds.model_dump(exclude_none=True)) == {
        *("probe", "index", "cut", "cut_decode", "look", "look_read", "look_decode"),
        *("write", "shard"),
    }


def test_each_run_has_its_own_file(tmp_path: Path) -> None:
    for number in range(2):
        totals = {"clips_cut": number + 1, "seconds_of_cut": 0.5 * number}
        write_performance_stats(str(tmp_path), totals, 2.0, {"clip": 1.0})
    files = [json.loads(path.read_text()) for path in sorted(tmp_path.iterdir())]
    assert [file["counters"] for file in files] == [{"clips_cut": 1}, {"clips_cut": 2}]
    assert [file["stage_seconds"] for file in files] == [{"cut": 0.0}, {"cut": 0.5}]
    assert [path.name for path in sorted(tmp_path.iterdir())] == [
        "performance_stats_0.json",
        "performance_stats_1.json",
    ]
    with pytest.raises(ValueError, match="unheard_of"):
        StageSeconds.model_validate({"unheard_of": 1.0})
