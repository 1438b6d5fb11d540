"""What goes into which shard, which clips are read at all, and what happens to broken ones."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from make_video import VideoSpec
from shard_runs import dataset_run, members, shard
from upstream_tree import TreeClip, write_upstream_tree

from transforms.shards import plan_shards
from transforms.shards.dedup_filter import duplicate_ids, epsilon_name
from transforms.shards.layout import ShardName
from transforms.shards.list_clip_records import clips_of_summary
from transforms.shards.options import MIB, Sharding, ShardSettings, shard_settings
from transforms.shards.plan_shards import (
    drop_small_end,
    fill_shards,
)
from transforms.shards.read_rows import BATCH_SIZE, ClipBatch, list_rows
from transforms.shards.shard_samples import shard_key, shard_of_key

SPEC = VideoSpec(seconds=2.0, keyframe_every=16)
SIZES = st.lists(st.integers(0, 50), max_size=60)


def test_golden_value_of_the_contract():
    assert fill_shards([2, 1, 2, 1, 1], target_bytes=3) == [2, 4, 5]


def test_a_sample_above_the_target_gets_its_own_shard():
    assert fill_shards([1, 9, 1, 1], target_bytes=3) == [1, 2, 4]


@given(SIZES, st.integers(1, 100))
def test_shards_are_full_and_none_is_too_big(sizes, target):
    ends = fill_shards(sizes, target_bytes=target)
    starts = [0, *ends[:-1]]
    groups = [sizes[start:end] for start, end in zip(starts, ends, strict=False)]
    assert [size for group in groups for size in group] == sizes
    for number, group in enumerate(groups):
        assert group
        assert len(group) == 1 or sum(group) <= target
        if number:
            assert sum(groups[number - 1]) + group[0] > target


@given(SIZES, st.integers(1, 100), st.integers(0, 59))
def test_filling_goes_on_from_a_shard_end_as_if_it_had_never_stopped(sizes, target, choice):
    ends = fill_shards(sizes, target_bytes=target)
    if ends:
        done = ends[choice % len(ends)]
        rest = fill_shards(sizes[done:], target_bytes=target)
        assert [end for end in ends if end <= done] + [done + end for end in rest] == ends


def test_no_shard_has_more_samples_than_a_group_may(monkeypatch):
    monkeypatch.setattr(plan_shards, "MAX_SAMPLES_PER_SHARD", 4)
    assert fill_shards(np.zeros(10, np.int64), target_bytes=1) == [4, 8, 10]


@pytest.mark.parametrize(
    ("ends", "least", "expected"),
    [
        ([2, 4, 5], 2, [2, 4]),
        ([2, 4, 5], 1, [2, 4, 5]),
        ([1], 2, []),
        ([], 2, []),
        ([3, 4, 5], 2, [3, 4]),
    ],
)
def test_only_the_last_shard_can_be_too_small(ends, least, expected):
    assert drop_small_end(ends, min_samples=least) == expected


def test_a_shard_is_found_by_its_key():
    shard_name = ShardName("resolution_720/aspect_ratio_16_9/frames_0_255", 12, 345)
    key = shard_key(shard_name)
    assert key == (
        "resolution_720",
        "aspect_ratio_16_9",
        "frames_0_255",
        "part_000012/000345.tar",
    )
    assert shard_of_key(key) == shard_name


def test_clips_of_videos_with_a_colliding_name_are_found_below_videos():
    summary = {
        "num_input_videos": 2,
        "a.mp4": {"clips": ["1", "2"], "filtered_clips": ["3"]},
        "b.mp4": {"source_video": "/raw/b.mp4", "processed": False},
        "videos": {"a.mp4": {"clips": ["1", "2"]}, "num_input_videos": {"clips": ["4"]}},
    }
    assert clips_of_summary(summary) == {"1", "2", "4"}


def test_clips_are_listed_sorted_and_in_batches(tmp_path):
    ids = [f"{number:05d}" for number in range(2 * BATCH_SIZE + 1)]
    summary = {"a.mp4": {"clips": ids[::-1]}}
    (tmp_path / "summary.json").write_text(json.dumps(summary))
    batches = list(list_rows(dataset_run(tmp_path, tmp_path), ShardSettings()))
    assert all(isinstance(batch, ClipBatch) for batch in batches)
    assert [len(batch.clip_ids) for batch in batches] == [BATCH_SIZE, BATCH_SIZE, 1]
    assert [clip for batch in batches for clip in batch.clip_ids] == ids


@pytest.mark.parametrize(
    ("epsilon", "name"), [(0.01, "0.01"), (0.1, "0.1"), (0.00001, "0.00001"), (0.0, "0")]
)
def test_names_of_dedup_files(epsilon, name):
    assert epsilon_name(epsilon) == name


def test_a_list_of_ids_counts_before_the_similarity_tables(tmp_path):
    extraction = tmp_path / "extraction"
    (extraction / "semdedup_pruning_tables").mkdir(parents=True)
    table = pa.table({"id": ["c"], "cosine_sim_score": [1.0]})
    pq.write_table(table, extraction / "semdedup_pruning_tables" / "cluster_0.parquet")

    def found() -> list[bytes]:
        ids = duplicate_ids(str(tmp_path), epsilon=0.01)
        return ids.tolist()

    assert found() == [b"c"]
    (extraction / "unique_ids_0.01.parquet").mkdir()
    pq.write_table(
        pa.table({"id": ["b", "a"]}), extraction / "unique_ids_0.01.parquet" / "0.parquet"
    )
    assert found() == [b"a", b"b"]


def test_without_dedup_tables_no_clip_is_left_out_and_a_warning_says_so(tmp_path, caplog):
    assert duplicate_ids(str(tmp_path), epsilon=0.01).tolist() == []
    assert "holds no dedup tables" in caplog.text


def test_settings_are_the_options_in_bytes_and_plain_values():
    settings = shard_settings(
        Sharding(target_tar_size_mb=3, reshard=True), captioning_algorithm="qwen", window_size=128
    )
    assert settings.target_tar_bytes == 3 * MIB
    assert (settings.reshard, settings.window_size, settings.max_tars_per_part) == (True, 128, 100)


def test_broken_records_are_dropped_by_name_and_the_rest_is_packed(tmp_path, made_video):
    good = TreeClip("good", SPEC, ((0, 15), (16, 49)))
    broken = {
        "no file": TreeClip("no file", SPEC, ((0, 49),)),
        "no metadata": TreeClip("no metadata", SPEC, ((0, 49),)),
        "not json": TreeClip("not json", SPEC, ((0, 49),)),
        "a list": TreeClip("a list", SPEC, ((0, 49),)),
        "another id": TreeClip("another id", SPEC, ((0, 49),), changes={"span_uuid": "other"}),
        "text": TreeClip("text", SPEC, ((0, 49),), changes={"width": "wide"}),
    }
    short = TreeClip("window behind the end", SPEC, ((0, 15), (16, 63)))
    tree = tmp_path / "tree"
    write_upstream_tree(tree, [good, *broken.values(), short], made_video)
    metas = {name: tree / "metas" / "v0" / f"{clip.clip_id}.json" for name, clip in broken.items()}
    (tree / "clips" / f"{broken['no file'].clip_id}.mp4").unlink()
    metas["no metadata"].unlink()
    metas["not json"].write_text("{")
    metas["a list"].write_text("[]")

    summary = shard(dataset_run(tmp_path, tree))

    content = json.loads((tmp_path / "dataset" / "v0" / "dropped_clips.json").read_text())
    bad = sorted(broken[name].clip_id for name in ("not json", "a list", "another id", "text"))
    assert content["dropped"] == {
        "no_clip_file": [broken["no file"].clip_id],
        "no_metadata": [broken["no metadata"].clip_id],
        "bad_metadata": bad,
        # Known only when the window was to be cut: its shard is written without it.
        "window_not_in_clip": [f"{short.clip_id}_16_63"],
    }
    assert summary["num_samples"] == 3
    folder = tmp_path / "dataset" / "v0" / "resolution_lt_720" / "aspect_ratio_16_9"
    for kind, ending in (("video", "mp4"), ("metas", "json")):
        tar = folder / "frames_16_31" / kind / "part_000000" / "000000.tar"
        assert list(members(tar.read_bytes())) == [f"{good.clip_id}_16_49.{ending}"]
