"""What changes between two runs into one output: options, stages, sources, the set of inputs."""

from __future__ import annotations

import json
import os
import shutil
import tarfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from make_video import VideoSpec
from recorded_work import ChildWork, opened_for_reading
from run_command import Curated

from beam_pipeline.config import SplitConfig, load_config
from beam_pipeline.prepare import prepare_split
from transforms.clips.source_identity import EDGE_BYTES, source_identity
from transforms.ingest.select_videos import begin_selection
from transforms.records import video_uuid

STRIDE = (
    *("--fixed_stride_split_duration", "2", "--fixed_stride_min_clip_length_s", "1"),
    *("--clip_re_chunk_size", "1"),
)
TINY = VideoSpec(seconds=9, size=(64, 64), keyframe_every=25)
"""Five clips in two chunks."""
OTHER = VideoSpec(seconds=9, size=(64, 64), keyframe_every=20)
SCORED = VideoSpec(seconds=3, size=(320, 256), keyframe_every=25)
"""Two clips, large enough to be scored for motion."""

MadeVideo = Callable[[str, VideoSpec], Path]
Stamps = dict[str, tuple[int, int, int]]


@pytest.fixture
def run(tmp_path: Path, made_video: MadeVideo) -> Curated:
    """Return an input of one tiny video ``a.mp4`` that nothing was made of yet."""
    (tmp_path / "raw").mkdir()
    shutil.copyfile(made_video("a.mp4", TINY), tmp_path / "raw" / "a.mp4")
    return Curated.below(tmp_path, tmp_path / "raw")


@pytest.fixture
def scored(tmp_path: Path, made_video: MadeVideo) -> Curated:
    """Return an input of one video large enough for scores that nothing was made of yet."""
    (tmp_path / "raw").mkdir()
    shutil.copyfile(made_video("b.mp4", SCORED), tmp_path / "raw" / "b.mp4")
    return Curated.below(tmp_path, tmp_path / "raw")


def stamps(*folders: Path) -> Stamps:
    """Return inode, size and time of change of every file below; the stored options left out."""
    found = {}
    for path in (path for folder in folders for path in folder.rglob("*")):
        if not path.is_file() or path.name == "options.json":
            continue
        status = path.stat()
        found[str(path)] = (status.st_ino, status.st_size, status.st_mtime_ns)
    return found


def keys(dataset: Path) -> list[str]:
    """Return the key of every sample in every tar of videos."""
    found = []
    for path in sorted(dataset.glob("v0/**/video/**/*.tar")):
        with tarfile.open(path) as tar:
            found += [name.removesuffix(".mp4") for name in tar.getnames()]
    return found


def failures(run: Curated) -> dict[str, str]:
    """Return ``stage/reason`` of every failure file, by the relative path of its video."""
    found = {}
    for path in (run.out / "failures").rglob("*.json"):
        content = json.loads(path.read_text())
        found[content["rel"]] = f"{content['stage']}/{content['reason']}"
    return found


def lose_a_clip(run: Curated, rel: str, start_seconds: float) -> str:
    """Remove a clip of a video and its chunk's record; return the clip's id."""
    [(clip_id, meta)] = [
        (clip_id, meta)
        for clip_id, meta in run.metas().items()
        if meta["source_video"].endswith("/" + rel) and meta["duration_span"][0] == start_seconds
    ]
    Path(meta["clip_location"]).unlink()
    (run.out / "metas" / "v0" / f"{clip_id}.json").unlink()
    (run.out / "processed_clip_chunks" / f"{rel}_{int(start_seconds // 8)}.json").unlink()
    return clip_id


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


def test_a_stage_turned_on_later_needs_no_source(
    run: Curated, made_video: MadeVideo, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copyfile(made_video("b.mp4", SCORED), run.raw / "b.mp4")
    assert run.curate(*STRIDE) == 0
    clips = {clip_id: meta["source_video"] for clip_id, meta in run.metas().items()}
    mp4s = stamps(run.out / "clips")
    (run.raw / "a.mp4").unlink()
    (run.raw / "b.mp4").write_bytes(made_video("a.mp4", TINY).read_bytes())
    work = ChildWork.recorded(run.out.parent, monkeypatch)
    for rel in ("a.mp4", "b.mp4"):
        assert run.curate(*STRIDE, "--generate_previews", "--limit", "1") == 0
        looked_at = {clip_id for clip_id, source in clips.items() if source.endswith(rel)}
        assert work.take("look") == dict.fromkeys(looked_at, 1), "one video at a time"
        summary = run.read("summary.json")
        assert summary["num_input_videos_selected"] == 1
        assert summary["num_input_videos"] == (2 if rel == "a.mp4" else 1), "there, or taken in"
        assert summary["num_processed_videos"] == 2
        work.forget()
    assert stamps(run.out / "clips") == mp4s
    assert {path.name for path in (run.out / "previews").iterdir()} == set(clips)


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


def test_videos_that_vanish_from_an_unfinished_run_fail_by_name_and_come_back(
    run: Curated, tmp_path: Path, made_video: MadeVideo, caplog: pytest.LogCaptureFixture
) -> None:
    assert run.curate(*STRIDE) == 0
    sources = {"a.mp4": made_video("a.mp4", TINY), "b.mp4": made_video("b.mp4", OTHER)}
    shutil.copyfile(sources["b.mp4"], run.raw / "b.mp4")
    lost = lose_a_clip(run, "a.mp4", 8.0)
    begin_as_if_killed(run, tmp_path / "scratch")
    shutil.copyfile(made_video("c.mp4", SCORED), run.raw / "c.mp4")
    for rel in sources:
        (run.raw / rel).unlink()
    assert run.curate(*STRIDE) == 1
    assert failures(run) == {"a.mp4": "cut/unreadable", "b.mp4": "probe/unreadable"}
    assert f"{run.raw}/a.mp4: no such file" in caplog.text
    assert f"{run.raw}/b.mp4: no such file" in caplog.text
    assert not (run.out / "runs" / "current.json").exists()
    assert run.read("runs/0002.json")["num_input_videos"] == 3
    assert len(run.metas()) == 4 + 2
    assert run.curate(*STRIDE, "--retry_failed") == 1, "they are still gone"
    assert failures(run) == {"a.mp4": "cut/unreadable", "b.mp4": "probe/unreadable"}
    for rel, source in sources.items():
        shutil.copyfile(source, run.raw / rel)
    assert run.curate(*STRIDE, "--retry_failed", "--reshard") == 0
    assert lost in run.metas()
    fresh = Curated.below(tmp_path / "fresh", run.raw)
    assert fresh.curate(*STRIDE) == 0
    assert without_parts(run) == without_parts(fresh)


def begin_as_if_killed(run: Curated, scratch: Path) -> None:
    """Leave the selection that a run stores before anything else."""
    stride = dict(zip([word.lstrip("-") for word in STRIDE[::2]], STRIDE[1::2], strict=True))
    paths = {"input_video_path": str(run.raw), "output_clip_path": str(run.out)}
    config = load_config("split", {**paths, **{key: int(stride[key]) for key in stride}}, {})
    assert isinstance(config, SplitConfig)
    context = prepare_split(config, scratch=scratch, beam_flags=[], resolved={}).context
    assert [video.rel for video in begin_selection(config.input, context)] == ["a.mp4", "b.mp4"]


def without_parts(run: Curated) -> dict[str, str]:
    """Return the trees, tars and their lists left out: part numbers tell of an earlier run."""
    return {
        path: digest
        for path, digest in run.trees().items()
        if not path.startswith("dataset/") and not path.startswith("out/failures/")
    }


def test_a_replaced_source_is_an_error_only_where_something_is_cut_from_it(
    run: Curated, made_video: MadeVideo, caplog: pytest.LogCaptureFixture
) -> None:
    source = run.raw / "a.mp4"
    assert run.curate(*STRIDE) == 0
    whole = run.trees()
    shutil.copyfile(made_video("b.mp4", OTHER), source)
    (run.out / "processed_clip_chunks" / "a.mp4_1.json").unlink()
    assert run.curate(*STRIDE) == 0, "all clips are there, only a record is not"
    assert run.trees() == whole

    lost = lose_a_clip(run, "a.mp4", 2.0)
    assert run.curate(*STRIDE) == 3
    assert failures(run) == {"a.mp4": "cut/source_changed"}
    assert f"{source}: changed since it was planned" in caplog.text
    assert lost not in run.metas()
    source.unlink()
    shutil.copyfile(made_video("a.mp4", TINY), source)
    assert run.curate(*STRIDE, "--retry_failed") == 0, "restored: another file, the same bytes"
    assert run.trees() == whole
    lose_a_clip(run, "a.mp4", 8.0)
    os.utime(source, (1, 1))
    assert run.curate(*STRIDE) == 0, "touched"
    assert run.trees() == whole


def test_the_identity_of_a_source_is_its_bytes_at_both_ends_and_its_size(tmp_path: Path) -> None:
    path = tmp_path / "source"
    content = bytes(3 * EDGE_BYTES)
    path.write_bytes(content)
    identity = source_identity(str(path))
    os.utime(path, (1, 1))
    assert source_identity(str(path)) == identity
    for other in (content + b"\0", content[1:], b"\1" + content[1:], content[:-1] + b"\1"):
        path.write_bytes(other)
        assert source_identity(str(path)) != identity


def test_a_mended_source_is_planned_anew_when_failures_are_retried(
    run: Curated, made_video: MadeVideo
) -> None:
    content = (run.raw / "a.mp4").read_bytes()
    assert content.index(b"mdat") < content.index(b"moov"), "half of the file has no header"
    (run.raw / "a.mp4").write_bytes(content[: len(content) // 2])
    assert run.curate(*STRIDE) == 1
    (run.raw / "a.mp4").write_bytes(content)
    assert run.curate(*STRIDE) == 1, "nothing is tried again unasked"
    assert run.curate(*STRIDE, "--retry_failed") == 0
    assert len(run.metas()) == 5
    assert failures(run) == {}


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


def test_a_folder_of_the_earlier_input_is_known_and_another_video_in_its_place_is_not(
    tmp_path: Path, made_video: MadeVideo, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = tmp_path / "raw"
    (raw / "sub").mkdir(parents=True)
    shutil.copyfile(made_video("b.mp4", SCORED), raw / "sub" / "b.mp4")
    run = Curated.below(tmp_path, raw)
    assert run.curate(*STRIDE) == 0
    before = stamps(run.out, run.dataset)
    assert Curated(raw / "sub", run.out, run.dataset).curate(*STRIDE) == 0
    assert stamps(run.out, run.dataset) == before
    shutil.copytree(raw, tmp_path / "moved")
    moved = Curated(tmp_path / "moved", run.out, run.dataset)
    capsys.readouterr()
    assert moved.curate(*STRIDE) == 2
    told = capsys.readouterr().err
    assert f"{tmp_path}/moved/sub/b.mp4" in told
    assert f"{raw}/sub/b.mp4" in told
    assert "--id_root" in told
    assert moved.curate(*STRIDE, "--id_root", str(raw)) == 0
    assert stamps(run.out, run.dataset) == before
    assert video_uuid(f"{raw}/sub/b.mp4") in {path.stem for path in run.out.rglob("plans/*.json")}
