"""A long selection in waves: the same clips as all at once, shards early, whatever is killed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from independent_ledger import check
from kill_harness import Scene
from make_video import VideoSpec, make_video
from run_command import Curated

import transforms.ingest.waves
from beam_pipeline.cli import main
from transforms.clips.wave_file import read_wave
from transforms.ingest.list_videos import VideoInput
from transforms.ingest.waves import MAX_VIDEOS, InputCount, count_inputs, iter_waves
from transforms.records import Video
from transforms.run_context import RunContext
from transforms.shards import list_clip_records
from transforms.shards.options import DatasetRun

CUT = (
    *("--fixed_stride_split_duration", "1", "--fixed_stride_min_clip_length_s", "0.5"),
    *("--clip_re_chunk_size", "1"),
)
WAVES = ("--wave_hours", str(3.5 / 3600))
"""Three and a half seconds: two videos of two seconds fill a wave."""
NAMES = ("a.mp4", "b/c.mp4", "b/d.mp4", "b.mp4", "e.mp4")


@pytest.fixture(scope="session")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("waves") / "raw"
    (folder / "b").mkdir(parents=True)
    for name in NAMES:
        make_video(folder / name, VideoSpec(seconds=2))
    (folder / "notes.txt").write_text("a sidecar")
    return folder


@pytest.fixture(scope="session")
def at_once(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> Curated:
    run = Curated.below(tmp_path_factory.mktemp("at_once"), raw)
    assert run.curate(*CUT, "--wave_hours", "0") == 0
    return run


def out_tree(run: Curated) -> dict[str, str]:
    return {rel: digest for rel, digest in run.trees().items() if rel.startswith("out/")}


def samples(run: Curated) -> list[str]:
    """Return the keys of all samples that the plans of the dataset name, sorted."""
    found = []
    for plan in run.dataset.glob(".work/v0/generation_*/plans/**/*.json"):
        shards = json.loads(plan.read_text())["shards"]
        found += [sample[0] for shard in shards for sample in shard]
    return sorted(found)


def parts(run: Curated) -> set[str]:
    return {path.parent.name for path in run.dataset.glob("v0/**/video/part_*/*.tar")}


def runs(run: Curated) -> list[list[str]]:
    """Return the videos of each finished run."""
    records = sorted((run.out / "runs").glob("[0-9]*.json"))
    return [[video[0] for video in json.loads(path.read_text())["videos"]] for path in records]


def test_waves_make_the_same_clips_and_pack_each_once(
    raw: Path, at_once: Curated, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Curated.below(tmp_path, raw)
    assert run.curate(*CUT, *WAVES) == 0
    assert runs(run) == [["a.mp4", "b.mp4"], ["b/c.mp4", "b/d.mp4"], ["e.mp4"]]
    assert out_tree(run) == out_tree(at_once)
    assert samples(run) == samples(at_once)
    assert len(samples(run)) == 10
    assert parts(run) == {"part_000000", "part_000001", "part_000002"}
    assert not (run.out / ".work" / "wave.json").exists()
    assert "3 in 1 bins, 10 samples, 3 new" in capsys.readouterr().out
    assert main(["verify", str(run.out)]) == 0
    before = run.trees()
    assert run.curate(*CUT, *WAVES) == 0
    assert "nothing was left to do" in capsys.readouterr().out
    assert run.trees() == before
    assert len(list(run.out.glob("summary.json*"))) == 1


def test_a_selection_of_one_wave_gives_the_bytes_of_all_at_once(
    raw: Path, at_once: Curated, tmp_path: Path
) -> None:
    run = Curated.below(tmp_path, raw)
    # Long by its bytes, so that the way in waves is taken; short by its seconds.
    assert run.curate(*CUT, "--wave_hours", str(11 / 3600)) == 0
    assert count_inputs(VideoInput(input_video_path=str(raw))).is_long(11 / 3600)
    assert run.trees() == at_once.trees()


def test_split_alone_goes_in_waves_too_and_limit_counts_over_all(raw: Path, tmp_path: Path) -> None:
    run = Curated.below(tmp_path, raw)
    command = ["split", "--input_video_path", str(raw), "--output_clip_path", str(run.out)]
    command += ["--splitting_algorithm", "fixed-stride", *CUT, *WAVES, "--limit", "3"]
    assert main(command) == 0
    assert runs(run) == [["a.mp4", "b.mp4"], ["b/c.mp4"]]
    assert run.read("summary.json")["num_input_videos"] == 5
    assert main(command) == 0
    assert runs(run)[2:] == [["b/d.mp4", "e.mp4"]]


def test_the_first_clip_and_shard_are_told_and_come_before_the_last_wave(
    raw: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Curated.below(tmp_path, raw)
    assert run.curate(*CUT, *WAVES) == 0
    stats = run.read("performance_stats_0.json")
    firsts = stats["seconds_to_first"]
    assert 0 < firsts["clip"] < firsts["shard"] < firsts["listed_shard"] < stats["wall_seconds"]
    line = next(line for line in capsys.readouterr().out.splitlines() if "first  " in line)
    assert f"clip after {firsts['clip']:.1f} s, shard after {firsts['shard']:.1f} s" in line
    (tar,) = run.dataset.glob("v0/**/video/part_000000/*.tar")
    last = max((run.out / "clips").iterdir(), key=lambda path: path.stat().st_mtime)
    assert tar.stat().st_mtime < last.stat().st_mtime


@pytest.mark.parametrize(
    "point",
    [
        "planned:b/c.mp4",  # in the second wave, one is packed
        "shards_planned",  # the first wave is split, none is packed
    ],
)
def test_a_run_killed_in_a_wave_goes_on(
    raw: Path, at_once: Curated, tmp_path: Path, point: str
) -> None:
    scene = Scene(tmp_path, raw)
    kill = scene.kill_at(point, *CUT, *WAVES)
    assert not (scene.curated.out / "summary.json").exists()
    ended = scene.run(*CUT, *WAVES)
    assert ended.status == 0, ended.err
    assert samples(scene.curated) == samples(at_once)
    scene.check_nothing_lost([kill])


def test_what_a_wave_left_is_also_finished_without_waves(
    raw: Path, at_once: Curated, tmp_path: Path
) -> None:
    scene = Scene(tmp_path, raw)
    kill = scene.kill_at("planned:b/d.mp4", *CUT, *WAVES)
    ended = scene.run(*CUT, "--wave_hours", "0")
    assert ended.status == 0, ended.err
    assert samples(scene.curated) == samples(at_once)
    scene.check_nothing_lost([kill])


def context_of(root: Path) -> RunContext:
    return RunContext(str(root), "run", str(root), str(root / "progress"), (), "spans")


def waves_of(raw: Path, root: Path, seconds: dict[str, float], hours: float) -> list[list[str]]:
    config = VideoInput(input_video_path=str(raw))

    def durations(videos: list[Video]) -> list[float]:
        return [seconds[video.rel] for video in videos]

    found = iter_waves(config, context_of(root), wave_hours=hours, durations=durations)
    return [[video.rel for video in wave.videos] for wave in found]


def test_a_wave_ends_with_the_video_that_fills_it(raw: Path, tmp_path: Path) -> None:
    seconds = {"a.mp4": 1800.0, "b.mp4": 1800.0, "b/c.mp4": 0.0, "b/d.mp4": 9000.0, "e.mp4": 1.0}
    assert waves_of(raw, tmp_path, seconds, 1.0) == [
        ["a.mp4", "b.mp4"],
        ["b/c.mp4", "b/d.mp4"],
        ["e.mp4"],
    ]
    assert waves_of(raw, tmp_path, seconds, 100.0) == [sorted(NAMES)]


def test_a_wave_ends_with_its_hundred_thousandth_video_too(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert MAX_VIDEOS == 100_000
    assert InputCount(100_001, 100_001, 0, ()).is_long(1000.0)
    assert not InputCount(100_000, 100_000, 0, ()).is_long(1000.0)
    assert not InputCount(100_001, 100_001, 0, ()).is_long(0)
    monkeypatch.setattr(transforms.ingest.waves, "MAX_VIDEOS", 2)
    seconds = dict.fromkeys(NAMES, 1.0)
    assert waves_of(raw, tmp_path, seconds, 100.0) == [
        ["a.mp4", "b.mp4"],
        ["b/c.mp4", "b/d.mp4"],
        ["e.mp4"],
    ]


def test_no_wave_file_is_no_video(tmp_path: Path) -> None:
    assert list(read_wave(str(tmp_path))) == []


def test_sources_that_are_gone_come_last_for_a_stage_turned_on_later(
    raw: Path, at_once: Curated, tmp_path: Path
) -> None:
    inputs = tmp_path / "inputs"
    shutil.copytree(raw, inputs)
    run = Curated.below(tmp_path, inputs)
    assert run.curate(*CUT, *WAVES) == 0
    for name in ("a.mp4", "b/d.mp4"):
        (inputs / name).unlink()
    assert run.curate(*CUT, *WAVES, "--motion_filter", "score-only") == 0
    assert runs(run)[3:] == [["b.mp4", "b/c.mp4"], ["a.mp4", "e.mp4"], ["b/d.mp4"]]
    assert all("motion_score" in meta["stages"] for meta in run.metas().values())
    # Of another input folder, so that clips have other names: each is packed once.
    assert samples(run) == sorted(run.metas())
    assert len(samples(run)) == len(samples(at_once)) == 10
    assert check(run.out, run.dataset) == []


def test_a_summary_too_large_to_be_read_is_not_needed(
    at_once: Curated, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run = DatasetRun(str(at_once.out), str(tmp_path), "v0", str(tmp_path), str(tmp_path))
    from_summary = list_clip_records.list_clip_records(run)
    monkeypatch.setattr(list_clip_records, "LARGEST_SUMMARY", 100)
    monkeypatch.setattr(list_clip_records, "clips_of_summary", None)
    found = list_clip_records.list_clip_records(run)
    assert found == from_summary
    assert len(found.clip_ids) == 10
    assert found.kept_for_sure
