"""What changes between two runs into one output: options, stages, the set of inputs."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path

import pytest
from changed_runs import (
    OTHER,
    SCORED,
    STRIDE,
    TINY,
    MadeVideo,
    input_of,
    keys,
    stamps,
    without_parts,
)
from recorded_work import ChildWork, opened_for_reading
from run_command import Curated


@pytest.fixture
def run(tmp_path: Path, made_video: MadeVideo) -> Curated:
    """Return an input of one tiny video ``a.mp4`` that nothing was made of yet."""
    return input_of(tmp_path, made_video("a.mp4", TINY))


@pytest.fixture
def scored(tmp_path: Path, made_video: MadeVideo) -> Curated:
    """Return an input of one video large enough for scores that nothing was made of yet."""
    return input_of(tmp_path, made_video("b.mp4", SCORED))


def test_changed_options_stop_a_run_and_each_of_the_three_ways_goes_on(
    run: Curated, tmp_path: Path, made_video: MadeVideo, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = (*STRIDE, "--transcode_crf", "35")
    assert run.curate(*STRIDE) == 0
    old, before = run.metas(), stamps(run.out, run.dataset)
    capsys.readouterr()
    assert run.curate(*changed) == 2
    told = capsys.readouterr().err
    assert "transcode_crf: was None, now 35" in told
    ways = ("1. give the old options again", "2. choose a new output", "3. add --accept_changes")
    assert [way for way in ways if way not in told] == []
    assert run.curate(*STRIDE, "--fixed_stride_split_duration", "3") == 2
    assert "fixed_stride_split_duration: was 2.0, now 3.0" in capsys.readouterr().err
    assert run.curate(*STRIDE) == 0, "the first way: nothing was left behind"
    assert stamps(run.out, run.dataset) == before

    shutil.copyfile(made_video("b.mp4", OTHER), run.raw / "b.mp4")
    elsewhere = Curated.below(tmp_path / "new", run.raw)
    assert elsewhere.curate(*changed) == 0, "the second way"
    assert run.curate(*changed, "--accept_changes") == 0, "the third way"
    after = stamps(run.out)
    clips = {path for path in before if "/clips/" in path or "/metas/" in path}
    assert {path: after.get(path) for path in clips if "/processed/" in path} == {
        path: before[path] for path in clips if "/processed/" in path
    }
    new = {clip_id: meta for clip_id, meta in run.metas().items() if clip_id not in old}
    made_by = {clip_id: meta["stages"]["cut"] for clip_id, meta in elsewhere.metas().items()}
    assert {clip_id: meta["stages"]["cut"] for clip_id, meta in new.items()} == {
        clip_id: made_by[clip_id] for clip_id in made_by if clip_id not in old
    }
    assert len(new) == 5
    assert not {meta["stages"]["cut"] for meta in old.values()} & set(made_by.values())
    assert run.curate(*changed) == 0, "the new options are the output's options now"


@pytest.mark.parametrize(
    ("stage", "options"),
    [
        ("previews", ("--generate_previews",)),
        ("motion_score", ("--motion_filter", "score-only")),
    ],
)
def test_a_stage_turned_on_later_looks_once_at_each_clip_and_cuts_none(
    run: Curated,
    stage: str,
    options: tuple[str, ...],
    made_video: MadeVideo,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shutil.copyfile(made_video("b.mp4", SCORED), run.raw / "b.mp4")
    work = ChildWork.recorded(run.out.parent, monkeypatch)
    assert run.curate(*STRIDE) == 0
    clips = dict.fromkeys(run.metas(), 1)
    assert len(clips) == 5 + 2
    assert work.take("cut") == work.take("look") == clips
    mp4s, before = stamps(run.out / "clips"), stamps(run.out)
    records = [*(run.out / "processed_clip_chunks").iterdir(), run.out / "summary.json"]
    assert len(records) == 3 + 1

    work.forget()
    assert run.curate(*STRIDE, *options) == 0
    assert work.take("cut") == {}
    assert work.take("look") == clips
    assert stamps(run.out / "clips") == mp4s
    after = stamps(run.out)
    assert [path for path in records if after[str(path)] == before[str(path)]] == []
    for path in records[:-1]:
        assert stage in json.loads(path.read_text())["stages"]
    assert all(stage in meta["stages"] for meta in run.metas().values())

    work.forget()
    everything = stamps(run.out, run.dataset)
    assert run.curate(*STRIDE, *options) == 0
    shutil.rmtree(run.raw)
    assert run.curate(*STRIDE, *options) == 0, "nothing is left to do, so nothing is missed"
    assert stamps(run.out, run.dataset) == everything
    assert work.take() == {}
    raw = made_video("a.mp4", TINY), made_video("b.mp4", SCORED)
    run.raw.mkdir()
    for path in raw:
        shutil.copyfile(path, run.raw / path.name)
    fresh = Curated(run.raw, run.out.parent / "fresh", run.dataset)
    assert fresh.curate(*STRIDE, *options, "--reshard") == 0
    for clip_id, meta in fresh.metas().items():
        same = json.dumps(run.metas()[clip_id]).replace(str(run.out), str(fresh.out))
        assert meta == json.loads(same)


def test_a_filter_turned_on_later_decides_from_stored_scores(scored: Curated) -> None:
    measured = (*STRIDE, "--motion_filter", "score-only", "--generate_previews")
    assert scored.curate(*measured) == 0
    kept = {path.name for path in (scored.out / "clips").iterdir()}
    assert len(kept) == 2
    enabled = (*STRIDE, "--motion_filter", "enable", "--motion_global_mean_threshold", "9")
    assert scored.curate(*enabled) == 0
    assert not list((scored.out / "clips").iterdir())
    assert {path.name for path in (scored.out / "filtered_clips").iterdir()} == kept
    for meta in scored.metas().values():
        assert meta["rejection"]["filter"] == "motion"
        assert meta["rejection"]["threshold"] == 9
        assert "/filtered_clips/" in meta["clip_location"]
    assert scored.read("summary.json")["total_num_clips_filtered_by_motion"] == 2


def test_a_changed_threshold_is_decided_again_when_accepted(
    scored: Curated, tmp_path: Path
) -> None:
    strict = (*STRIDE, "--motion_filter", "enable", "--motion_global_mean_threshold", "9")
    assert scored.curate(*strict, "--generate_previews") == 0
    assert len(list((scored.out / "filtered_clips").iterdir())) == 2
    mild = (*STRIDE, "--motion_filter", "enable", "--motion_global_mean_threshold", "0")
    mild = (*mild, "--motion_per_patch_min_256_threshold", "0")
    assert scored.curate(*mild, "--generate_previews") == 2, "a changed option stops the run"
    assert scored.curate(*mild, "--generate_previews", "--accept_changes") == 0
    assert not list((scored.out / "filtered_clips").iterdir())
    fresh = Curated.below(tmp_path / "fresh", scored.raw)
    assert fresh.curate(*mild, "--generate_previews") == 0
    assert scored.trees() == fresh.trees()


def test_overwrite_makes_everything_anew_and_leaves_what_is_not_its_own(run: Curated) -> None:
    assert run.curate(*STRIDE) == 0
    expected = without_parts(run)
    foreign = [run.out / rel for rel in ("notes.txt", "clips/mine.mp4", "more/data.json")]
    for path in foreign:
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
    before, mine = stamps(run.out / "clips"), stamps(*(path.parent for path in foreign))
    changed = (*STRIDE, "--limit_clips", "2", "--transcode_crf", "35", "--overwrite")
    assert run.curate(*changed) == 0
    assert len(run.metas()) == 2
    assert {path.name for path in (run.out / "runs").iterdir()} == {"0001.json", "options.json"}
    assert sorted(keys(run.dataset)) == sorted(run.metas()), "the dataset is made anew as well"
    assert run.curate(*STRIDE, "--overwrite") == 0
    after = stamps(run.out)
    for path in map(str, foreign):
        assert after[path] == mine[path]
    assert not [path for path in before if after[path] == before[path] and path not in mine]
    for path in foreign:
        path.unlink()
    assert without_parts(run) == expected


def test_new_inputs_are_appended_and_nothing_else_is_touched_or_read(
    run: Curated, made_video: MadeVideo, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run.curate(*STRIDE) == 0
    old, before = run.metas(), stamps(run.out, run.dataset)
    with opened_for_reading() as opened:
        assert run.curate(*STRIDE) == 0
    assert any("/processed_clip_chunks/" in path for path in opened), "records are seen"
    assert [path for path in opened if "/metas/v0/" in path] == []
    assert stamps(run.out, run.dataset) == before

    shutil.copyfile(made_video("b.mp4", OTHER), run.raw / "b.mp4")
    work = ChildWork.recorded(run.out.parent, monkeypatch)
    with opened_for_reading() as opened:
        assert run.curate(*STRIDE) == 0
    new = run.metas().keys() - old.keys()
    assert len(new) == 5
    assert work.take("cut") == work.take("look") == dict.fromkeys(new, 1)
    assert {Path(path).stem for path in opened if "/metas/v0/" in path} == new
    after = stamps(run.out, run.dataset)
    ours = ("/clips/", "/metas/v0/", "/processed_", "/plans/", "/index/", "/commits/", "/rows/")
    kept = [path for path in before if path.endswith(".tar") or any(one in path for one in ours)]
    assert {path: after.get(path) for path in kept} == {path: before[path] for path in kept}
    assert len([path for path in kept if path.endswith(".tar")]) == 2
    added = {Path(path).parent.name for path in after.keys() - before if path.endswith(".tar")}
    assert added == {"part_000001"}
    assert Counter(keys(run.dataset)) == dict.fromkeys(run.metas(), 1)

    assert run.curate(*STRIDE, "--reshard") == 0
    assert keys(run.dataset) == sorted(run.metas())
    assert {path.parent.name for path in run.dataset.rglob("*.tar")} == {"part_000002"}
