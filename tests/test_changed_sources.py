"""Sources that are gone, replaced, mended or moved between two runs into one output."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from changed_runs import (
    OTHER,
    SCORED,
    STRIDE,
    TINY,
    MadeVideo,
    failures,
    input_of,
    lose_a_clip,
    stamps,
    without_parts,
)
from recorded_work import ChildWork
from run_command import Curated

from beam_pipeline.configuration.config import SplitConfig, load_config
from beam_pipeline.preparation.prepare import prepare_split
from beam_pipeline.preparation.run_place import RunPlace
from transforms.clips.source_identity import EDGE_BYTES, source_identity
from transforms.ingest.select_videos import begin_selection
from transforms.records import video_uuid


@pytest.fixture
def run(tmp_path: Path, made_video: MadeVideo) -> Curated:
    """Return an input of one tiny video ``a.mp4`` that nothing was made of yet."""
    return input_of(tmp_path, made_video("a.mp4", TINY))


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
    assert f"{run.raw}/b.mp4: no such file; restore it and run again" in caplog.text
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
    values = {"splitting_algorithm": "fixed-stride", **{key: int(stride[key]) for key in stride}}
    config = load_config("split", {**paths, **values}, {})
    assert isinstance(config, SplitConfig)
    context = prepare_split(config, RunPlace.here(scratch), {}).context
    assert [video.rel for video in begin_selection(config.input, context)] == ["a.mp4", "b.mp4"]


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
