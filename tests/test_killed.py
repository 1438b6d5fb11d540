"""Runs of ``curate`` that are killed go on to the bytes of a run that nobody killed."""

from __future__ import annotations

import json
import random
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from kill_harness import MULTI, AtKill, Scene
from make_video import VideoSpec, make_video
from run_command import Curated

from beam_pipeline.preparation.preflight import check_dataset_root

NUM_MOMENTS = 10
SEED = 41
SPECS = {
    "a.mp4": VideoSpec(seconds=12, keyframe_every=25),
    "b.mp4": VideoSpec(seconds=10, keyframe_every=25, size=(128, 96)),
    "c.mp4": VideoSpec(seconds=10, keyframe_every=25),
    "d.mp4": VideoSpec(seconds=5, keyframe_every=25, size=(320, 256)),
}
NUM_CLIPS = 37


@dataclass(frozen=True)
class Whole:
    """What a run leaves that nobody kills."""

    curated: Curated
    trees: dict[str, str]
    num_bytes: int
    """Of output and dataset."""
    num_bytes_of_output: int

    def clips_of(self, name: str) -> list[str]:
        """Return the clip ids of a video in the order of time."""
        metas = [
            meta
            for meta in self.curated.metas().values()
            if Path(meta["source_video"]).name == name
        ]
        return [
            str(meta["span_uuid"]) for meta in sorted(metas, key=lambda one: one["duration_span"])
        ]


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of four videos that give seven chunks and as many runs."""
    folder = tmp_path_factory.mktemp("killed") / "raw"
    folder.mkdir()
    for name, spec in SPECS.items():
        make_video(folder / name, spec)
    return folder


@pytest.fixture(scope="module")
def whole(raw: Path) -> Whole:
    scene = Scene(raw.parent / "whole", raw)
    ended = scene.run()
    assert ended.status == 0, ended.err
    assert len(scene.encoded()) == NUM_CLIPS
    trees = scene.curated.trees()
    scene.check_finished(trees, kills=[])
    num_bytes = scene.num_bytes()
    dataset = sum(path.stat().st_size for path in scene.curated.dataset.rglob("*"))
    return Whole(scene.curated, trees, num_bytes, num_bytes - dataset)


@pytest.fixture
def scene(raw: Path, tmp_path: Path) -> Scene:
    return Scene(tmp_path / "scene", raw)


def bytes_there(scene: Scene, num_bytes: int) -> Callable[[], bool]:
    """Return the moment at which so many bytes lie below output and dataset."""
    return lambda: scene.num_bytes() >= num_bytes


def clips_there(scene: Scene, num_clips: int) -> Callable[[], bool]:
    """Return the moment at which so many clips are committed."""
    return lambda: len(list(scene.curated.out.glob("metas/v0/*.json"))) >= num_clips


def moments(whole: Whole) -> list[int]:
    """Return bytes at which to kill: one drawn from each ninth of the output's bytes, while clips
    are cut, and one from those of the dataset, while tars are written."""
    drawn = random.Random(SEED)
    cutting = [(part + drawn.random()) / 9 * whole.num_bytes_of_output for part in range(9)]
    packing = drawn.uniform(whole.num_bytes_of_output, whole.num_bytes)
    return [int(moment) for moment in (*cutting, packing)]


def modes(number: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the runner mode to be killed in and the one to go on in."""
    pairs = [((), MULTI), (MULTI, ()), ((), ()), ((), ())]
    return pairs[number % len(pairs)]


@pytest.fixture(scope="module")
def killed(raw: Path, whole: Whole) -> list[tuple[Scene, AtKill]]:
    """Return ten outputs, each killed at its moment."""
    outputs = []
    for number, moment in enumerate(moments(whole)):
        scene = Scene(raw.parent / f"moment-{number}", raw)
        at_kill = scene.kill_when(bytes_there(scene, moment), *modes(number)[0])
        outputs.append((scene, at_kill))
    return outputs


def test_the_moments_lie_in_the_midst_of_the_work(killed: list[tuple[Scene, AtKill]]) -> None:
    assert len(killed) == NUM_MOMENTS
    commits = [len(at_kill.clips) for _, at_kill in killed]
    assert sum(0 < number < NUM_CLIPS for number in commits) >= 7, commits
    busy = [min(at_kill.num_children, at_kill.num_open_runs) for _, at_kill in killed]
    assert sum(number > 1 for number in busy) >= 2, busy


@pytest.mark.parametrize("number", range(NUM_MOMENTS))
def test_after_a_kill_at_any_moment_the_same_command_goes_on(
    number: int, killed: list[tuple[Scene, AtKill]], whole: Whole
) -> None:
    scene, at_kill = killed[number]
    ended = scene.run(*modes(number)[1])
    assert ended.status == 0, ended.err
    scene.check_finished(whole.trees, [at_kill])


class TestPoints:
    """Kills between two writes that belong together."""

    def test_between_mp4_and_metadata(self, scene: Scene, whole: Whole) -> None:
        clip_id = whole.clips_of("b.mp4")[4]
        at_kill = scene.kill_at(f"clip_published:{clip_id}", *MULTI)
        assert (scene.curated.out / "clips" / f"{clip_id}.mp4").exists()
        assert clip_id not in at_kill.clips
        self.goes_on(scene, whole, at_kill)

    def test_between_last_clip_and_chunk_record(self, scene: Scene, whole: Whole) -> None:
        at_kill = scene.kill_at("chunk_complete:c.mp4#0")
        assert at_kill.clips >= set(whole.clips_of("c.mp4")[:8])
        assert not (scene.curated.out / "processed_clip_chunks" / "c.mp4_0.json").exists()
        self.goes_on(scene, whole, at_kill)

    def test_between_plan_and_reshuffle(self, scene: Scene, whole: Whole) -> None:
        at_kill = scene.kill_at("planned:b.mp4")
        plans = list((scene.curated.out / ".work" / "plans").iterdir())
        assert "b.mp4" in [json.loads(path.read_text())["video"]["rel"] for path in plans]
        assert not at_kill.clips
        self.goes_on(scene, whole, at_kill, *MULTI)

    def test_between_shard_plan_and_first_tar(self, scene: Scene, whole: Whole) -> None:
        at_kill = scene.kill_at("shards_planned")
        assert list(scene.curated.dataset.glob(".work/**/plans/**/*.json"))
        assert not list(scene.curated.dataset.rglob("*.tar"))
        self.goes_on(scene, whole, at_kill)

    def test_between_tars_and_their_description(self, scene: Scene, whole: Whole) -> None:
        at_kill = scene.kill_at("tars_published")
        tars = {path.relative_to(scene.curated.dataset): path for path in self.tars(scene.curated)}
        assert {str(name) for name in tars} == {
            str(path.relative_to(whole.curated.dataset)) for path in self.tars(whole.curated)
        }
        assert not list(scene.curated.dataset.rglob("wdinfo*"))
        before = {name: path.stat().st_ino for name, path in tars.items()}
        self.goes_on(scene, whole, at_kill)
        assert {name: path.stat().st_ino for name, path in tars.items()} == before

    @staticmethod
    def goes_on(scene: Scene, whole: Whole, at_kill: AtKill, *options: str) -> None:
        ended = scene.run(*options)
        assert ended.status == 0, ended.err
        scene.check_finished(whole.trees, [at_kill])

    @staticmethod
    def tars(curated: Curated) -> list[Path]:
        return sorted(curated.dataset.rglob("*.tar"))


def test_one_output_is_killed_again_and_again(scene: Scene, whole: Whole) -> None:
    kills = [
        scene.kill_when(bytes_there(scene, int(share * whole.num_bytes_of_output)), *mode)
        for share, mode in ((0.2, ()), (0.45, MULTI), (0.7, ()))
    ]
    assert len(kills[0].clips) < len(kills[1].clips) < len(kills[2].clips) < NUM_CLIPS
    kills.append(scene.kill_at("tars_published"))
    ended = scene.run()
    assert ended.status == 0, ended.err
    scene.check_finished(whole.trees, kills)


@pytest.mark.parametrize("mode", [(), MULTI], ids=["in_memory", "multi_processing"])
def test_of_a_driver_killed_alone_nothing_is_left_running(
    mode: tuple[str, ...], scene: Scene, whole: Whole
) -> None:
    at_kill = scene.kill_when(clips_there(scene, 9), *mode, driver_alone=True)
    assert len(at_kill.clips) < NUM_CLIPS
    ended = scene.run()
    assert ended.status == 0, ended.err
    scene.check_finished(whole.trees, [at_kill])


def test_a_child_killed_alone_costs_nothing_but_time(scene: Scene, whole: Whole) -> None:
    ended = scene.run_losing_a_child(clips_there(scene, 5))
    assert ended.status == 0, ended.err
    assert scene.curated.trees() == whole.trees
    assert all(times <= 2 for times in scene.encoded().values())
    scene.check_nothing_lost([AtKill(frozenset(), scene.encoded(), 0, 0)])


def test_curate_killed_after_its_split_half_packs_the_same_keys(scene: Scene, whole: Whole) -> None:
    def split_is_done() -> bool:
        return (scene.curated.out / "runs" / "0001.json").exists()

    at_kill = scene.kill_when(split_is_done)
    assert len(at_kill.clips) == NUM_CLIPS
    assert not list(scene.curated.dataset.rglob("wdinfo*"))
    ended = scene.run()
    assert ended.status == 0, ended.err
    assert keys(scene.curated) == keys(whole.curated)
    scene.check_finished(whole.trees, [at_kill])


def test_curate_killed_while_it_builds_tars_packs_the_same_keys(scene: Scene, whole: Whole) -> None:
    staging = scene.curated.dataset / ".work" / "staging"
    at_kill = scene.kill_when(lambda: bool(list(staging.rglob("*.tar"))))
    assert not list(scene.curated.dataset.rglob("wdinfo*"))
    ended = scene.run()
    assert ended.status == 0, ended.err
    assert keys(scene.curated) == keys(whole.curated)
    scene.check_finished(whole.trees, [at_kill])


def test_limit_2_killed_and_run_again_gives_exactly_two_videos(scene: Scene, whole: Whole) -> None:
    at_kill = scene.kill_when(clips_there(scene, 4), "--limit", "2")
    assert len(at_kill.clips) < 22
    ended = scene.run("--limit", "2")
    assert ended.status == 0, ended.err
    records = sorted(path.name for path in (scene.curated.out / "processed_videos").iterdir())
    assert records == ["a.mp4.json", "b.mp4.json"]
    expected = {*whole.clips_of("a.mp4"), *whole.clips_of("b.mp4")}
    assert scene.curated.metas().keys() == expected
    found = scene.curated.trees()
    for clip_id in expected:
        for rel in (f"out/clips/{clip_id}.mp4", f"out/metas/v0/{clip_id}.json"):
            assert found[rel] == whole.trees[rel]
    scene.check_nothing_lost([at_kill])


def test_unfinished_tars_do_not_bar_the_next_run(tmp_path: Path) -> None:
    unfinished = tmp_path / ".work" / "staging" / "v0" / ".tmp-abc" / "video.tar"
    unfinished.parent.mkdir(parents=True)
    unfinished.write_bytes(b"0")
    check_dataset_root(str(tmp_path), "v0")


def keys(curated: Curated) -> dict[str, list[str]]:
    """Return the names of the members of each tar, in order."""
    found = {}
    for path in sorted(curated.dataset.rglob("*.tar")):
        with tarfile.open(path) as tar:
            found[str(path.relative_to(curated.dataset))] = tar.getnames()
    return found
