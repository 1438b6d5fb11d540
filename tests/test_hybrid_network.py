"""Hybrid with the network's real scores: its thresholds found anew, and a pipeline. Needs torch."""

from __future__ import annotations

import dataclasses
import itertools
import json
import shutil
import uuid
from pathlib import Path

import numpy as np
import pytest
from model_packages import NEEDS_TORCH
from shot_videos import ShotVideo, make_shots
from wrong_use import use

from beam_pipeline.cli import main

pytestmark = NEEDS_TORCH


@pytest.mark.slow
def test_the_stored_thresholds_are_found_again(tmp_path: Path) -> None:
    from benchmarks.shot_thresholds import SEED, agreement_on, find_thresholds, tuning_footage
    from transforms.shots.hybrid import hybrid_thresholds

    footage = tuning_footage(tmp_path, seed=SEED)
    assert sum(len(video.scores) for video in footage) == 1500
    assert dataclasses.asdict(find_thresholds(footage)) == dataclasses.asdict(hybrid_thresholds())
    found = agreement_on(footage, hybrid_thresholds())
    assert (found.missed, found.false) == (0, 0)
    assert found.cuts + found.gradual >= 40


def test_split_cuts_where_hybrid_tells_to(real_videos: Path, tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    video = tmp_path / "raw" / "bikes.mp4"
    shutil.copyfile(real_videos / "skv_bikes.mp4", video)
    paths = ("--input_video_path", str(video.parent), "--output_clip_path", str(tmp_path / "out"))
    lengths = ("--transnetv2_min_length_s", "0", "--transnetv2_min_length_frames", "1")
    options = ("--splitting_algorithm", "hybrid", "--transnetv2_crop_s", "0", "--no-predict")
    assert main(["split", *paths, *lengths, *options]) == 0
    work = tmp_path / "out" / ".work"
    (plan,) = (json.loads(path.read_text()) for path in (work / "plans").iterdir())
    starts = [0, 30, 76, 137, 187, 242]
    spans = [*((start, end - 1) for start, end in itertools.pairwise(starts)), (242, 250)]
    assert [span["clip_id"] for span in plan["spans"]] == [
        str(uuid.uuid5(uuid.NAMESPACE_URL, f"{video}_{start}_{end}")) for start, end in spans
    ]
    (stored,) = (work / "shots").rglob("*.npz")
    with np.load(stored) as scores:
        assert set(scores) == {
            *("one_hot", "many_hot"),
            *("change", "returns", "similar", "brightness", "contrast"),
        }
        assert {len(scores[name]) for name in scores} == {250}


@pytest.mark.parametrize(
    ("options", "settled"),
    [((), "hybrid (the default)"), (("--transnetv2_compat",), "transnetv2 (as transnetv2_compat")],
)
def test_what_is_used_when_nothing_is_asked_for(
    options: tuple[str, ...], settled: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_shots(tmp_path / "raw" / "a.mp4", ShotVideo((4,)))
    paths = ("--input_video_path", tmp_path / "raw", "--output_clip_path", tmp_path / "out")
    assert f"splitting_algorithm: {settled}" in use(capsys, "plan", "split", *paths, *options).out
