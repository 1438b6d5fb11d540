"""A run that detects shots is killed while it detects and while it cuts, and goes on."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from kill_harness import MULTI, AtKill, Scene
from shot_videos import ShotVideo, make_shots

SEED = 5
DETECT = (
    *("--splitting_algorithm", "content", "--transnetv2_crop_s", "0"),
    *("--transnetv2_min_length_s", "0.4", "--transnetv2_min_length_frames", "10"),
)
VIDEOS = {
    "a.mp4": ShotVideo((30, 45, 60, 25, 50)),
    "b.mp4": ShotVideo((50, 20, 35)),
    "c.mp4": ShotVideo((1990, 40, 60)),
    "d.mp4": ShotVideo((40, 40, 40, 40)),
}
NUM_CLIPS = 16
"""One per shot; the one that is longer than a minute is two."""
NUM_SEGMENTS = 5
"""One per video, two of the long one."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """Return what a run leaves that nobody kills."""
    folder = tmp_path_factory.mktemp("killed_detection")
    for name, video in VIDEOS.items():
        make_shots(folder / "raw" / name, video)
    scene = Scene(folder / "whole", folder / "raw")
    ended = scene.run(*DETECT)
    assert ended.status == 0, ended.err
    assert len(scene.encoded()) == NUM_CLIPS
    assert len(scores(scene)) == NUM_SEGMENTS
    return scene


def scores(scene: Scene) -> dict[Path, int]:
    """Return the files of scores and when each was written."""
    found = (scene.curated.out / ".work" / "shots").rglob("*.npz")
    return {path: path.stat().st_mtime_ns for path in found if not path.name.startswith(".tmp-")}


def bytes_there(scene: Scene, num_bytes: float) -> Callable[[], bool]:
    return lambda: scene.num_bytes() >= num_bytes


def test_a_run_killed_in_detection_and_in_cutting_goes_on_to_the_same_bytes(
    whole: Scene, tmp_path: Path
) -> None:
    scene = Scene(tmp_path / "scene", whole.curated.raw)
    drawn = random.Random(SEED)
    clips = sum(path.stat().st_size for path in (whole.curated.out / "clips").iterdir())
    kills: list[AtKill] = []

    # Scores are stored before the first plan is, plans before the first clip.
    kills.append(scene.kill_when(lambda: len(scores(scene)) >= 2, *DETECT))
    stored = scores(scene)
    assert stored
    assert not kills[0].clips
    for share, mode in ((drawn.uniform(0.1, 0.4), MULTI), (drawn.uniform(0.5, 0.8), ())):
        kills.append(scene.kill_when(bytes_there(scene, share * clips), *DETECT, *mode))
        found = scores(scene)
        assert {path: found.get(path) for path in stored} == stored, "no score is made twice"
        stored = found
    assert len(stored) == NUM_SEGMENTS
    assert len(kills[1].clips) < len(kills[2].clips) < NUM_CLIPS

    ended = scene.run(*DETECT)
    assert ended.status == 0, ended.err
    assert scores(scene) == stored
    scene.check_finished(whole.curated.trees(), kills)
