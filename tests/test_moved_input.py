"""A run that was interrupted, and whose input lies elsewhere when it goes on."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest
from changed_runs import OTHER, STRIDE, TINY, MadeVideo, failures, input_of, lose_a_clip
from kill_harness import Scene
from run_command import Curated
from tree import tree


def clips_of(run: Curated) -> dict[str, str]:
    """Return the digest of every clip and of the metadata of each."""
    found = tree(run.out, {"<raw>": run.raw, "<out>": run.out})
    return {rel: digest for rel, digest in found.items() if rel.startswith(("clips/", "metas/"))}


def test_what_was_planned_before_the_move_is_cut_from_the_new_place(
    tmp_path: Path, made_video: MadeVideo
) -> None:
    raw, moved = tmp_path / "raw", tmp_path / "moved"
    raw.mkdir()
    shutil.copyfile(made_video("a.mp4", TINY), raw / "a.mp4")
    shutil.copyfile(made_video("b.mp4", OTHER), raw / "b.mp4")
    whole = Scene(tmp_path / "whole", raw)
    assert whole.run().status == 0
    scene = Scene(tmp_path / "scene", raw)
    # Both are planned then, and most clips are still to be cut.
    at_kill = scene.kill_at("clip_published")
    assert len(list(scene.curated.out.rglob("plans/*.json"))) == 2
    assert len(at_kill.clips) < len(whole.curated.metas())
    expected = clips_of(whole.curated)
    raw.rename(moved)
    scene.curated = dataclasses.replace(scene.curated, raw=moved)
    ended = scene.run("--id_root", str(raw))
    assert ended.status == 0, ended.err
    assert clips_of(Curated(raw, scene.curated.out, scene.curated.dataset)) == expected
    scene.check_nothing_lost([at_kill])


def test_another_file_at_the_new_place_is_not_cut(
    tmp_path: Path, made_video: MadeVideo, caplog: pytest.LogCaptureFixture
) -> None:
    run = input_of(tmp_path, made_video("a.mp4", TINY))
    assert run.curate(*STRIDE) == 0
    lost = lose_a_clip(run, "a.mp4", 2.0)
    moved = Curated(tmp_path / "moved", run.out, run.dataset)
    moved.raw.mkdir()
    # The old place still has the right file: it is not what the user has named.
    shutil.copyfile(made_video("b.mp4", OTHER), moved.raw / "a.mp4")
    assert moved.curate(*STRIDE, "--id_root", str(run.raw)) != 0
    assert failures(run) == {"a.mp4": "cut/source_changed"}
    assert f"{moved.raw}/a.mp4: changed since it was planned" in caplog.text
    assert lost not in run.metas()
    shutil.copyfile(run.raw / "a.mp4", moved.raw / "a.mp4")
    shutil.rmtree(run.raw)
    assert moved.curate(*STRIDE, "--id_root", str(run.raw), "--retry_failed") == 0
    assert lost in run.metas()
