"""The shard half from a tree in upstream's format to a dataset, run as a pipeline."""

from __future__ import annotations

import io
import itertools
import json
import shutil
from dataclasses import replace
from pathlib import Path

import av
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import webdataset
from make_video import VideoSpec
from shard_runs import dataset_run, files, members, shard
from upstream_tree import TreeClip, write_summary, write_upstream_tree

from transforms.errors import PreflightError
from transforms.layout import clip_uri

LONG = VideoSpec(seconds=2.0, keyframe_every=16, b_frames=2)
"""50 frames; keyframes at the window starts 0, 16, 32 (and 48, inside the extended window)."""

ONE_KEYFRAME = replace(LONG, keyframe_every=0)
SHORT = replace(LONG, seconds=0.4)
SQUARE = replace(SHORT, size=(96, 96))
WINDOWS = ((0, 15), (16, 31), (32, 49))
NAMES_16_9 = "resolution_lt_720/aspect_ratio_16_9"
BIN_0, BIN_16, BIN_32 = (f"{NAMES_16_9}/frames_{a}_{a + 15}" for a in (0, 16, 32))
SQUARE_BIN = "resolution_lt_720/aspect_ratio_1_1/frames_0_15"

CLIPS = (
    TreeClip("long", LONG, WINDOWS),
    TreeClip("one keyframe", ONE_KEYFRAME, WINDOWS),
    *(TreeClip(f"short {number}", SHORT, ((0, 9),)) for number in range(12)),
    TreeClip("square", SQUARE, ((0, 9),)),
    TreeClip("rejected", SHORT, ((0, 9),), kept=False),
    TreeClip("no captions", SHORT, ()),
    TreeClip("too wide", SHORT, ((0, 9),), changes={"width": 2000, "height": 100}),
    TreeClip("changed", SHORT, ((0, 9),), changes={"num_bytes": 7}),
)
IDS = {clip.name: clip.clip_id for clip in CLIPS}


@pytest.fixture(scope="module")
def tree(tmp_path_factory, made_video):
    root = tmp_path_factory.mktemp("tree")
    write_upstream_tree(root, CLIPS, made_video)
    return root


@pytest.fixture(scope="module")
def finished(tmp_path_factory, tree):
    """A finished dataset; nobody may write to it."""
    folder = tmp_path_factory.mktemp("finished")
    summary = shard(dataset_run(folder, tree))
    return folder, summary


@pytest.fixture
def dataset(tmp_path, finished):
    """A copy of a finished dataset to work on."""
    shutil.copytree(finished[0] / "dataset", tmp_path / "dataset")
    return tmp_path / "dataset"


def add_clips(tree, target, made_video, names, *, spec=SHORT):
    """Return a copy of the tree with more clips of one window."""
    shutil.copytree(tree, target)
    new = tuple(TreeClip(name, spec, ((0, 9),)) for name in names)
    write_upstream_tree(target, new, made_video, summary=False)
    for path in (target / "metas" / "v0").iterdir():
        meta = json.loads(path.read_text())
        meta["clip_location"] = meta["clip_location"].replace(str(tree), str(target))
        path.write_text(json.dumps(meta, indent=4))
    write_summary(target, (*CLIPS, *new))
    return new


def keys(dataset: Path, bin_path: str, kind: str) -> list[list[str]]:
    """Return the sample keys of every tar of a bin, in order."""
    tars = sorted((dataset / "v0" / bin_path / kind).rglob("*.tar"))
    return [[name.split(".")[0] for name in members(tar.read_bytes())] for tar in tars]


def planned_keys(dataset: Path) -> list[str]:
    """Return all keys of all bins."""
    bins = {path.parent.relative_to(dataset / "v0") for path in dataset.rglob("wdinfo.json")}
    return sorted(key for name in bins for tar in keys(dataset, str(name), "video") for key in tar)


def test_every_window_is_in_the_tar_of_its_bin_once(finished):
    dataset = finished[0] / "dataset"
    whole = sorted([*(IDS[f"short {number}"] for number in range(12)), IDS["square"]])
    windows = [f"{IDS[name]}_{a}_{b}" for name in ("long", "one keyframe") for a, b in WINDOWS]
    assert planned_keys(dataset) == sorted(whole + windows)
    assert keys(dataset, SQUARE_BIN, "video") == [[IDS["square"]]]
    assert keys(dataset, BIN_16, "video") == [
        sorted(f"{IDS[name]}_16_31" for name in ("long", "one keyframe"))
    ]
    in_order = [key for tar in keys(dataset, BIN_0, "video") for key in tar]
    assert in_order == sorted(in_order)


def test_the_tars_of_one_index_hold_the_same_keys_in_the_same_order(finished):
    dataset = finished[0] / "dataset"
    for bin_path in (BIN_0, BIN_16, BIN_32, SQUARE_BIN):
        assert keys(dataset, bin_path, "video") == keys(dataset, bin_path, "metas")
    assert len(keys(dataset, BIN_0, "video")) > 1


def test_tars_are_filled_up_to_the_target(finished):
    tars = sorted((finished[0] / "dataset" / "v0" / BIN_0 / "video").rglob("*.tar"))
    sizes = [[len(data) for data in members(tar.read_bytes()).values()] for tar in tars]
    for current, following in itertools.pairwise(sizes):
        assert sum(current) <= 45_000  # windows are planned by an estimate
        assert sum(current) + following[0] > 35_000


def test_a_whole_clip_is_packed_as_it_is(finished, tree):
    [tar] = (finished[0] / "dataset" / "v0" / SQUARE_BIN / "video").rglob("*.tar")
    clip = Path(clip_uri(str(tree), IDS["square"], rejected=False))
    assert members(tar.read_bytes()) == {f"{IDS['square']}.mp4": clip.read_bytes()}


def test_the_json_of_a_sample_says_its_frames_its_caption_and_how_it_was_made(finished):
    found = {}
    for tar in (finished[0] / "dataset" / "v0" / BIN_32 / "metas").rglob("*.tar"):
        found |= {name: json.loads(data) for name, data in members(tar.read_bytes()).items()}
    copied = found[f"{IDS['long']}_32_49.json"]
    assert copied["span_uuid"] == IDS["long"]
    assert (copied["start_frame"], copied["end_frame"]) == (32, 49)
    assert (copied["sample_video"], copied["caption"]) == ("packets", "long from 32")
    assert len(copied["windows"]) == 3
    encoded = found[f"{IDS['one keyframe']}_32_49.json"]
    assert encoded["sample_video"] == "encode"
    assert encoded["reencoded_because"] == "no_keyframe_at_start"


def test_wdinfo_and_the_list_of_bins(finished):
    dataset = finished[0] / "dataset"
    info = json.loads((dataset / "v0" / BIN_32 / "wdinfo.json").read_text())
    assert info == {
        "chunk_size": 100,
        "data_keys": ["video", "metas"],
        "data_list": ["part_000000/000000.tar"],
        "root": str(dataset / "v0" / BIN_32),
        "total_key_count": 2,
    }
    bins = sorted([SQUARE_BIN, BIN_0, BIN_16, BIN_32])
    assert (dataset / "v0" / "wdinfo_list.csv").read_text() == "".join(
        f"{dataset}/v0/{name}/wdinfo.json\n" for name in bins
    )


def test_what_is_in_no_shard_is_reported_with_its_reason(finished):
    folder, summary = finished
    content = json.loads((folder / "dataset" / "v0" / "dropped_clips.json").read_text())
    assert content["dropped"] == {
        "aspect_ratio": [IDS["too wide"]],
        "clip_file_changed": [IDS["changed"]],
        "not_valid": [IDS["no captions"]],
    }
    assert summary["dropped"] == [["aspect_ratio", 1], ["clip_file_changed", 1], ["not_valid", 1]]


def test_the_summary_counts_what_is_there(finished):
    folder, summary = finished
    tars = list((folder / "dataset").rglob("*.tar"))
    assert summary["num_bins"] == 4
    assert summary["num_shards"] == summary["num_new_shards"] == len(tars) / 2
    assert summary["num_samples"] == 19
    assert summary["num_bytes"] == sum(tar.stat().st_size for tar in tars)
    assert summary["num_reencoded"] == 2  # the first window begins with the file's keyframe


def test_webdataset_reads_video_and_metadata_together(finished):
    dataset = finished[0] / "dataset" / "v0" / BIN_0
    names = json.loads((dataset / "wdinfo.json").read_text())["data_list"]
    count = 0
    for name in names:
        videos = webdataset.WebDataset(str(dataset / "video" / name), shardshuffle=False)
        metas = webdataset.WebDataset(str(dataset / "metas" / name), shardshuffle=False)
        for video, meta in zip(videos, metas.decode(), strict=True):
            assert video["__key__"] == meta["__key__"] == meta["json"]["key"]
            assert video["mp4"][4:8] == b"ftyp"
            count += 1
    assert count == 14


def test_without_a_summary_all_metadata_is_read_and_rejected_clips_are_left_out(
    tmp_path, tree, finished
):
    copy = tmp_path / "tree"
    shutil.copytree(tree, copy)
    (copy / "summary.json").unlink()
    shard(dataset_run(tmp_path, copy))
    assert planned_keys(tmp_path / "dataset") == planned_keys(finished[0] / "dataset")


def test_a_second_run_changes_no_file(tmp_path, tree, dataset):
    run = dataset_run(tmp_path, tree)
    shard(run)  # wdinfo.json holds the folder's path, which the copy changed
    before = {path: path.stat().st_mtime_ns for path in dataset.rglob("*") if path.is_file()}
    summary = shard(run)
    after = {path: path.stat().st_mtime_ns for path in dataset.rglob("*") if path.is_file()}
    assert after == before
    assert summary["num_new_shards"] == 0
    assert summary["num_samples"] == 19


@pytest.mark.parametrize("lost", ["video", "metas", "commit", "all"])
def test_a_tar_lost_by_a_kill_is_written_again_to_the_same_bytes(tmp_path, tree, dataset, lost):
    shard(dataset_run(tmp_path, tree))
    before = files(dataset, work=True)
    name = "part_000000/000001"
    commit = dataset / ".work" / "v0" / "generation_000000" / "commits" / BIN_0 / f"{name}.json"
    tars = {kind: dataset / "v0" / BIN_0 / kind / f"{name}.tar" for kind in ("video", "metas")}
    gone = {**tars, "commit": commit}
    for path in gone.values() if lost == "all" else [gone[lost]]:
        path.unlink()
    summary = shard(dataset_run(tmp_path, tree))
    assert files(dataset, work=True) == before
    assert summary["num_new_shards"] == 1


def test_a_kill_before_the_first_tar_leaves_a_plan_that_is_gone_on_with(tmp_path, tree, dataset):
    shard(dataset_run(tmp_path, tree))
    before = files(dataset, work=True)
    shutil.rmtree(dataset / "v0")
    shutil.rmtree(dataset / ".work" / "v0" / "generation_000000" / "commits")
    # Half of the plans were written when it was killed.
    shutil.rmtree(dataset / ".work" / "v0" / "generation_000000" / "plans" / BIN_0)
    shard(dataset_run(tmp_path, tree))
    assert files(dataset, work=True) == before


def test_new_clips_are_appended_in_a_new_part(tmp_path, tree, dataset, made_video):
    more = tmp_path / "more"
    new = add_clips(tree, more, made_video, ["new 1", "new 2"])
    before = files(dataset)
    summary = shard(dataset_run(tmp_path, more))
    after = files(dataset)
    tars = {name for name in before if name.endswith(".tar")}
    assert {name: after[name] for name in tars} == {name: before[name] for name in tars}
    assert {name for name in after if name.endswith(".tar")} - tars == {
        f"v0/{BIN_0}/{kind}/part_000001/000000.tar" for kind in ("video", "metas")
    }
    tar = members(after[f"v0/{BIN_0}/video/part_000001/000000.tar"])
    assert list(tar) == sorted(f"{clip.clip_id}.mp4" for clip in new)
    info = json.loads(after[f"v0/{BIN_0}/wdinfo.json"])
    assert info["data_list"][-1] == "part_000001/000000.tar"
    assert info["total_key_count"] == 16
    assert summary["num_new_shards"] == 1


def test_reshard_packs_everything_anew_and_removes_the_old_tars(
    tmp_path, tree, dataset, made_video
):
    more = tmp_path / "more"
    add_clips(tree, more, made_video, ["new 1", "new 2"])
    shard(dataset_run(tmp_path, more))
    assert shard(dataset_run(tmp_path, more), reshard=True)["num_samples"] == 21
    content = files(dataset)
    info = json.loads(content[f"v0/{BIN_0}/wdinfo.json"])
    found = sorted(name for name in content if f"{BIN_0}/video" in name)
    assert found == [f"v0/{BIN_0}/video/{name}" for name in info["data_list"]]
    assert {name.split("/")[0] for name in info["data_list"]} == {"part_000002"}
    all_keys = [key for tar in keys(dataset, BIN_0, "video") for key in tar]
    assert all_keys == sorted(all_keys)
    assert len(all_keys) == 16
    assert not list((dataset / ".work").rglob("generation_000000/**/*.json"))


def test_a_killed_reshard_keeps_the_old_dataset_whole_and_is_gone_on_with(tmp_path, tree, dataset):
    run = dataset_run(tmp_path, tree)
    shard(run)
    old = files(dataset)
    # The folder for unfinished tars cannot be made: the plans are written, the first tar is not.
    staging = dataset / ".work" / "staging"
    assert not staging.exists(), "a finished run leaves nothing there"
    staging.write_text("")
    with pytest.raises(Exception, match="staging"):
        shard(run, reshard=True)
    staging.unlink()
    assert files(dataset) == old
    shard(run)  # without --reshard: what was begun is finished first
    content = files(dataset)
    tars = [name for name in content if name.endswith(".tar")]
    assert {name.split("/")[-2] for name in tars} == {"part_000001"}
    first = f"v0/{BIN_0}/video/part_000000/000000.tar"
    assert content[first.replace("part_000000", "part_000001")] == old[first]


def test_worker_processes_write_the_same_bytes(tmp_path, tree, finished, monkeypatch):
    here = Path(__file__).parent
    monkeypatch.setenv("PYTHONPATH", f"{here.parent}:{here}")  # workers import this test's steps
    run = dataset_run(tmp_path, tree)
    shard(run, "--direct_running_mode=multi_processing", "--direct_num_workers=2")
    ours, theirs = str(tmp_path).encode(), str(finished[0]).encode()
    expected = {
        name: data.replace(theirs, ours) for name, data in files(finished[0] / "dataset").items()
    }
    assert files(tmp_path / "dataset") == expected


def test_parts_hold_at_most_the_given_number_of_tars(tmp_path, tree, finished):
    run = dataset_run(tmp_path, tree)
    shard(run, max_tars_per_part=1)
    names = sorted((tmp_path / "dataset" / "v0" / BIN_0 / "video").rglob("*.tar"))
    old = sorted((finished[0] / "dataset" / "v0" / BIN_0 / "video").rglob("*.tar"))
    assert [path.parent.name for path in names] == [f"part_{i:06d}" for i in range(len(old))]
    assert {path.name for path in names} == {"000000.tar"}
    assert [path.read_bytes() for path in names] == [path.read_bytes() for path in old]


def test_a_small_last_shard_is_dropped_when_asked_for(tmp_path, tree):
    run = dataset_run(tmp_path, tree)
    summary = shard(run, drop_small_shards=True, min_clips_per_tar=2)
    content = json.loads((tmp_path / "dataset" / "v0" / "dropped_clips.json").read_text())
    assert IDS["square"] in content["dropped"]["small_shard"]
    assert not (tmp_path / "dataset" / "v0" / SQUARE_BIN).exists()
    assert summary["num_bins"] == 3


def test_duplicates_found_by_dedup_are_left_out(tmp_path, tree):
    tables = tmp_path / "dedup" / "extraction" / "semdedup_pruning_tables"
    tables.mkdir(parents=True)
    rows = {"short 0": 0.995, "short 1": 0.99, "short 2": 0.98, "long": 1.0}
    table = pa.table(
        {
            "id": [IDS[name] for name in rows],
            "max_id": [IDS["short 3"]] * 4,
            "cosine_sim_score": list(rows.values()),
        }
    )
    pq.write_table(table, tables / "cluster_0.parquet")
    run = dataset_run(tmp_path, tree)
    shard(run, dedup_path=str(tmp_path / "dedup"), dedup_epsilon=0.01)
    content = json.loads((tmp_path / "dataset" / "v0" / "dropped_clips.json").read_text())
    gone = sorted(IDS[name] for name in ("short 0", "short 1", "long"))
    assert content["dropped"]["duplicate"] == gone
    assert not [key for key in planned_keys(tmp_path / "dataset") if key.split("_")[0] in gone]


def test_duration_bins_hold_whole_clips(tmp_path, made_video):
    clip = TreeClip("six seconds", replace(LONG, seconds=6.0), ((0, 15), (16, 149)))
    write_upstream_tree(tmp_path / "tree", [clip, CLIPS[2]], made_video)
    summary = shard(dataset_run(tmp_path, tmp_path / "tree"), shard_bins="duration")
    assert keys(tmp_path / "dataset", f"{NAMES_16_9}/duration_5_10", "video") == [[clip.clip_id]]
    assert summary["dropped"] == [["duration", 1]]


def test_a_dataset_of_another_layout_or_program_is_refused(tmp_path, tree, dataset):
    with pytest.raises(Exception, match="shard_bins=frames, asked for was shard_bins=duration"):
        shard(dataset_run(tmp_path, tree), shard_bins="duration")
    foreign = tmp_path / "foreign" / "v0" / "resolution_720"
    foreign.mkdir(parents=True)
    (foreign / "wdinfo.json").write_text("{}")
    with pytest.raises(Exception, match="was not written by this program") as caught:
        shard(dataset_run(tmp_path, tree, "foreign"))
    assert PreflightError.__name__ in repr(caught.value)


def test_an_empty_input_gives_an_empty_summary(tmp_path):
    (tmp_path / "tree").mkdir()
    summary = shard(dataset_run(tmp_path, tmp_path / "tree"))
    assert (summary["num_bins"], summary["num_samples"], summary["dropped"]) == (0, 0, [])
    assert files(tmp_path / "dataset") == {}


def test_frames_of_every_sample_are_those_its_json_names(finished):
    for tar in (finished[0] / "dataset").rglob("video/**/*.tar"):
        metas = members(Path(str(tar).replace("/video/", "/metas/")).read_bytes())
        for name, data in members(tar.read_bytes()).items():
            meta = json.loads(metas[name.replace(".mp4", ".json")])
            with av.open(io.BytesIO(data)) as container:
                count = sum(1 for _ in container.decode(video=0))
            assert count == meta["end_frame"] - meta["start_frame"] + 1, name
