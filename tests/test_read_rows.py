"""A clip's metadata is read once for the shards: its rows are kept and used while they hold."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from make_video import VideoSpec
from recorded_work import opened_for_reading
from shard_runs import SETTINGS, dataset_run, files, members, shard
from upstream_tree import MakeVideo, TreeClip, write_summary, write_upstream_tree

from transforms.shards.options import DatasetRun
from transforms.shards.read_rows import ClipBatch, RowsFile, list_rows, read_rows

SPEC = VideoSpec(seconds=0.4)
CLIPS = tuple(TreeClip(name, SPEC, ((0, 9),)) for name in "abc")
SQUARE = TreeClip("square", replace(SPEC, size=(96, 96)), ((0, 9),))
"""Alone in its bin."""
NO_WINDOWS = TreeClip("no windows", SPEC, ())
"""Dropped for good."""
ALL = (*CLIPS, SQUARE, NO_WINDOWS)


@pytest.fixture
def run(tmp_path: Path, made_video: MakeVideo) -> DatasetRun:
    """Return a run on a split output of five clips, of which nothing was packed yet."""
    write_upstream_tree(tmp_path / "tree", ALL, made_video)
    return dataset_run(tmp_path, tmp_path / "tree")


def read_in(run: DatasetRun, **changes: object) -> set[str]:
    """Run the pipeline; return the ids of the clips whose metadata was opened."""
    with opened_for_reading() as opened:
        shard(run, **changes)
    return {Path(path).stem for path in opened if "/metas/v0/" in path and path.endswith(".json")}


def ids(*clips: TreeClip) -> set[str]:
    return {clip.clip_id for clip in clips}


def packed(run: DatasetRun) -> list[str]:
    """Return the keys in all tars."""
    content = files(Path(run.dataset_root))
    return sorted(
        key.removesuffix(".mp4")
        for name, data in content.items()
        if "/video/" in name
        for key in members(data)
    )


def dropped(run: DatasetRun) -> dict[str, list[str]]:
    path = Path(run.dataset_root) / "v0" / "dropped_clips.json"
    content: dict[str, list[str]] = json.loads(path.read_text())["dropped"]
    return content


def test_only_new_clips_are_read(run: DatasetRun, tmp_path: Path, made_video: MakeVideo) -> None:
    assert read_in(run) == ids(*ALL)
    before = files(Path(run.dataset_root), work=True)
    assert read_in(run) == set()
    assert files(Path(run.dataset_root), work=True) == before
    new = TreeClip("new", SPEC, ((0, 9),))
    write_upstream_tree(tmp_path / "tree", (new,), made_video, summary=False)
    write_summary(tmp_path / "tree", (*ALL, new))
    assert read_in(run) == ids(new)
    assert packed(run) == sorted(ids(*CLIPS, SQUARE, new))
    assert dropped(run) == {"not_valid": [NO_WINDOWS.clip_id]}
    assert read_in(run) == set()
    assert read_in(run, reshard=True) == ids(*ALL, new)
    assert packed(run) == sorted(ids(*CLIPS, SQUARE, new))


def test_what_could_not_be_read_is_tried_again(run: DatasetRun, tmp_path: Path) -> None:
    lost = tmp_path / "tree" / "clips" / f"{CLIPS[1].clip_id}.mp4"
    lost.rename(tmp_path / "kept.mp4")
    assert read_in(run) == ids(*ALL)
    before = files(Path(run.dataset_root), work=True)
    assert dropped(run)["no_clip_file"] == [CLIPS[1].clip_id]
    assert read_in(run) == ids(CLIPS[1])
    assert files(Path(run.dataset_root), work=True) == before, "still lost, so nothing to do"
    (tmp_path / "kept.mp4").rename(lost)
    assert read_in(run) == ids(CLIPS[1])
    assert packed(run) == sorted(ids(*CLIPS, SQUARE))
    assert "no_clip_file" not in dropped(run)
    assert read_in(run) == set()


def test_a_clip_that_is_rejected_after_its_rows_were_kept_is_not_packed(
    run: DatasetRun, tmp_path: Path
) -> None:
    drop = {"drop_small_shards": True, "min_clips_per_tar": 2}
    read_in(run, **drop)
    assert packed(run) == sorted(ids(*CLIPS))
    assert dropped(run)["small_shard"] == [SQUARE.clip_id]
    write_summary(tmp_path / "tree", (*CLIPS, replace(SQUARE, kept=False), NO_WINDOWS))
    assert read_in(run) == set()
    assert packed(run) == sorted(ids(*CLIPS))
    assert dropped(run) == {"not_valid": [NO_WINDOWS.clip_id]}
    write_summary(tmp_path / "tree", ALL)
    assert read_in(run) == ids(SQUARE), "only to be packed"
    assert packed(run) == sorted(ids(*CLIPS, SQUARE))


@pytest.mark.parametrize("lacks", ["summary.json", "runs/current.json"])
def test_rows_are_not_trusted_where_no_summary_says_what_is_kept(
    run: DatasetRun, tmp_path: Path, lacks: str
) -> None:
    read_in(run)
    path = tmp_path / "tree" / lacks
    if path.exists():
        path.unlink()
    else:
        path.parent.mkdir()
        path.write_text("{}")
    meta = tmp_path / "tree" / "metas" / "v0" / f"{SQUARE.clip_id}.json"
    content = json.loads(meta.read_text())
    content["clip_location"] = content["clip_location"].replace("/clips/", "/filtered_clips/")
    meta.write_text(json.dumps(content))
    shutil.rmtree(tmp_path / "dataset" / "v0")
    shutil.rmtree(tmp_path / "dataset" / ".work" / "v0" / "generation_000000" / "plans")
    shutil.rmtree(tmp_path / "dataset" / ".work" / "v0" / "generation_000000" / "commits")
    assert read_in(run) == ids(*ALL)
    assert packed(run) == sorted(ids(*CLIPS))


def test_rows_of_other_bins_or_windows_are_others(run: DatasetRun) -> None:
    read_in(run)
    shard(run)
    listed = list(list_rows(run, replace(SETTINGS, window_size=SETTINGS.window_size * 2)))
    assert [type(one) for one in listed] == [ClipBatch]
    assert [type(one) for one in list_rows(run, SETTINGS)] == [RowsFile, ClipBatch]


def test_each_clip_comes_from_one_file_also_where_files_overlap(
    run: DatasetRun, tmp_path: Path
) -> None:
    a, b, c = sorted(ids(*CLIPS))
    [batch] = list_rows(run, SETTINGS)
    assert isinstance(batch, ClipBatch)
    for clips in ((a, b), (b, c)):
        read_rows(ClipBatch(clips, batch.folder), settings=SETTINGS, run=run)
    kept = [clip for clip in CLIPS if clip.clip_id != c]
    write_summary(tmp_path / "tree", (*kept, SQUARE))
    listed = list(list_rows(run, SETTINGS))
    rows = [one.load().clip_id.tolist() for one in listed if isinstance(one, RowsFile)]
    assert sorted(clip for clips in rows for clip in clips) == [a.encode(), b.encode()]
    assert len(rows) == 2
    assert [one.clip_ids for one in listed if isinstance(one, ClipBatch)] == [(SQUARE.clip_id,)]
