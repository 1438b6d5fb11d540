"""Metadata, datasets and lists that others wrote or tampered with, given to the real ``shard``."""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from broken_bases import base
from make_video import VideoSpec
from upstream_tree import TreeClip, write_upstream_tree
from wrong_use import Ended, listing, split, use

from transforms.json_files import BadJsonError, read_json
from transforms.json_parsing import MAX_DEPTH, parse_json

Capture = pytest.CaptureFixture[str]
SPEC = VideoSpec(seconds=0.8, size=(64, 64))
ONE = ((0, 19),)
GOOD = [TreeClip(f"good {number}", SPEC, ONE) for number in range(3)]
SECRET = b"nobody may read this"


def shard(capsys: Capture, tree: Path, dataset: Path, *options: str) -> Ended:
    return use(
        capsys,
        *("shard", "--input_clip_path", tree, "--output_dataset_path", dataset, "--no-predict"),
        *options,
    )


def dropped(dataset: Path) -> dict[str, list[str]]:
    path = dataset / "v0" / "dropped_clips.json"
    return json.loads(path.read_text())["dropped"] if path.exists() else {}


def packed(dataset: Path) -> dict[str, bytes]:
    """Return every member of every tar."""
    found = {}
    for path in dataset.rglob("*.tar"):
        with tarfile.open(path) as tar:
            for member in tar.getmembers():
                assert "/" not in member.name
                assert member.isfile()
                body = tar.extractfile(member)
                assert body is not None
                found[member.name] = body.read()
    return found


def edited(change: dict[str, Any]) -> Callable[[Path], None]:
    """Return what changes fields of a clip's metadata."""

    def edit(path: Path) -> None:
        path.write_text(json.dumps({**json.loads(path.read_text()), **change}))

    return edit


def written(text: str) -> Callable[[Path], None]:
    """Return what replaces a clip's metadata."""
    return lambda path: path.write_text(text) and None


DEEP = "[" * 100_000
WINDOW = {"start_frame": 0, "end_frame": 19}
# What is done to a clip's metadata, and why the clip is then in no shard.
TAMPERED = {
    "deep": (written(DEEP), "bad_metadata"),
    "deep mapping": (written('{"a":' * 50_000), "bad_metadata"),
    "just too deep": (written("[" * 900 + "]" * 900), "bad_metadata"),
    "empty": (written(""), "bad_metadata"),
    "not utf-8": (lambda path: path.write_bytes(b'{"\xff\xfe": 1}') and None, "bad_metadata"),
    "null": (written("null"), "bad_metadata"),
    "number": (written("7"), "bad_metadata"),
    "text": (written('"clip"'), "bad_metadata"),
    "nan": (edited({"framerate": float("nan")}), "bad_metadata"),
    "infinite": (written('{"span_uuid": 1e999}'), "bad_metadata"),
    "digits": (written('{"width": ' + "9" * 5000 + "}"), "bad_metadata"),
    "doubled": (written('{"valid": false, "valid": true}'), "bad_metadata"),
    "other id": (edited({"span_uuid": "../../x"}), "bad_metadata"),
    "wide text": (edited({"width": "wide"}), "bad_metadata"),
    "wide list": (edited({"width": [1]}), "bad_metadata"),
    "huge width": (edited({"width": 2**63}), "aspect_ratio"),
    "negative height": (edited({"height": -64}), "no_size"),
    "windows text": (edited({"windows": "all"}), "bad_metadata"),
    "windows of text": (edited({"windows": ["all"]}), "bad_metadata"),
    "no end": (edited({"windows": [{"start_frame": 0}]}), "bad_metadata"),
    "backwards": (edited({"windows": [{"start_frame": 9, "end_frame": 2}]}), "bad_windows"),
    "negative": (edited({"windows": [{**WINDOW, "start_frame": -5}]}), "bad_windows"),
    "beyond": (edited({"windows": [{**WINDOW, "end_frame": 10**12}]}), "bad_windows"),
    "a bit beyond": (edited({"windows": [{**WINDOW, "end_frame": 40}]}), "bad_windows"),
    "no frames": (edited({"num_frames": -20}), "bad_windows"),
    "doubled window": (
        edited({"windows": [WINDOW, {"start_frame": 9, "end_frame": 19}, {**WINDOW}]}),
        "bad_windows",
    ),
    "heavy": (edited({"windows": [{**WINDOW, "num_bytes": 2**63 - 1}]}), "bad_windows"),
    "valid text": (edited({"valid": "true"}), "not_valid"),
    "another size": (edited({"num_bytes": "1"}), "clip_file_changed"),
    "folder": (lambda path: path.unlink() or path.mkdir(), "bad_metadata"),
}


@pytest.fixture
def tree(tmp_path: Path, made_video: Callable[[str, VideoSpec], Path]) -> Path:
    root = tmp_path / "tree"
    write_upstream_tree(root, GOOD, made_video)
    return root


def ids(clips: list[TreeClip]) -> list[str]:
    return sorted(clip.clip_id for clip in clips)


def test_tampered_metadata_is_dropped_with_a_reason_and_the_rest_is_packed(
    tmp_path: Path, made_video: Callable[[str, VideoSpec], Path], capsys: Capture
) -> None:
    bad = {name: TreeClip(name, SPEC, ONE) for name in (*TAMPERED, "huge", "link", "clip link")}
    tree, dataset = tmp_path / "tree", tmp_path / "dataset"
    write_upstream_tree(tree, [*GOOD, *bad.values()], made_video)
    metas = {name: tree / "metas" / "v0" / f"{clip.clip_id}.json" for name, clip in bad.items()}
    for name, (tamper, _) in TAMPERED.items():
        tamper(metas[name])
    # Larger than what is read, as its size says; there is nothing in it.
    os.truncate(metas["huge"], 1 << 40)
    secret = tmp_path / "secret"
    secret.write_bytes(SECRET)
    for path in (metas["link"], tree / "clips" / f"{bad['clip link'].clip_id}.mp4"):
        path.unlink()
        path.symlink_to(secret)
    reasons = {name: reason for name, (_, reason) in TAMPERED.items()}
    reasons |= {"huge": "bad_metadata", "link": "outside_input", "clip link": "outside_input"}

    ended = shard(capsys, tree, dataset)

    assert ended.status == 0, ended.err
    found = {clip: reason for reason, clips in dropped(dataset).items() for clip in clips}
    assert found == {bad[name].clip_id: reason for name, reason in reasons.items()}
    kinds = (".mp4", ".json")
    assert sorted(packed(dataset)) == sorted(clip + kind for clip in ids(GOOD) for kind in kinds)
    assert not any(SECRET in body for body in packed(dataset).values())


@pytest.mark.parametrize("with_summary", [True, False])
def test_ids_that_lead_elsewhere_are_dropped(
    with_summary: bool, tmp_path: Path, tree: Path, capsys: Capture
) -> None:
    clip = GOOD[0]
    escapes = ["../../../secret", "/etc/passwd", "..", "", "a/b", "\ud800", "a\nb", ".x", "x" * 300]
    (tmp_path / "secret.json").write_text((tree / f"metas/v0/{clip.clip_id}.json").read_text())
    shutil.copy(tree / f"clips/{clip.clip_id}.mp4", tmp_path / "secret.mp4")
    summary = json.loads((tree / "summary.json").read_text())
    summary["videos"] = {"../../x.mp4": {"clips": escapes}}
    (tree / "summary.json").write_text(json.dumps(summary))
    if not with_summary:
        (tree / "summary.json").unlink()
        (tree / "metas" / "v0" / "..%2f.json").write_text("{}")
    before = listing(tmp_path / "tree")

    ended = shard(capsys, tree, tmp_path / "dataset")

    assert ended.status == 0, ended.err
    assert {name[:36] for name in packed(tmp_path / "dataset")} == set(ids(GOOD))
    count = len(escapes) if with_summary else 1
    assert [(why, len(clips)) for why, clips in dropped(tmp_path / "dataset").items()] == [
        ("bad_id", count)
    ]
    assert listing(tmp_path / "tree") == before
    assert {path.name for path in tmp_path.iterdir()} == {
        *("tree", "dataset", "secret.json", "secret.mp4")
    }


@pytest.mark.parametrize(
    ("text", "needle"),
    [
        (DEEP, "is not valid JSON"),
        ("[]", "needed a mapping, got list"),
        ('{"a.mp4": {"clips": 7}}', "clips must be a list of ids"),
        ('{"a.mp4": {"clips": "abc"}}', "clips must be a list of ids"),
        ('{"a.mp4": {"clips": [["abc"]]}}', "clips must be a list of ids"),
        ('{"num": ' + "1" * 4000 + "}", "has 4000 digits"),
        ('{"a": 1, "a": 2}', "has the key 'a' twice"),
        ('{"a": NaN}', "NaN is no JSON number"),
        ("\x00", "is not valid JSON"),
    ],
)
def test_a_summary_that_is_none_is_named(
    text: str, needle: str, tmp_path: Path, tree: Path, capsys: Capture
) -> None:
    (tree / "summary.json").write_text(text)

    ended = shard(capsys, tree, tmp_path / "dataset")

    assert ended.status == 1
    ended.told(str(tree / "summary.json"), needle)
    assert packed(tmp_path / "dataset") == {}


class _Trap:
    """Makes a folder where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self._path),)


def _escaping_plan(path: Path) -> None:
    plan = json.loads(path.read_text())
    path.write_text(json.dumps({**plan, "bin_path": "../../../a/b/c", "part": 0}))


def _escaping_sample(path: Path) -> None:
    plan = json.loads(path.read_text())
    plan["shards"][0][0][0] = "../../../x"
    path.write_text(json.dumps(plan))


def _trapped_rows(path: Path) -> None:
    buffer = io.BytesIO()
    trap = np.array([_Trap(path.parents[4] / "sprung")], dtype=object)
    np.savez(buffer, clip_id=trap, allow_pickle=True)
    path.write_bytes(buffer.getvalue())


def _pickled_rows(path: Path) -> None:
    path.write_bytes(pickle.dumps(_Trap(path.parents[4] / "sprung")))


def _escaping_rows(path: Path) -> None:
    with np.load(path, allow_pickle=False) as rows:
        columns = dict(rows)
    columns["bin_path"] = np.array([b"../../../a"] * len(columns["bin_path"]))
    np.savez(path, **columns)


@pytest.mark.parametrize(
    ("pattern", "tamper"),
    [
        ("dataset.json", written("{}")),
        ("dataset.json", written('{"shard_bins": "windows", "generation": "../x", "building": 1}')),
        ("dataset.json", written(DEEP)),
        ("plans/**/*.json", written("[]")),
        ("plans/**/*.json", written('{"shards": [[["a", 0]]], "bin_path": "a/b/c", "part": 0}')),
        ("plans/**/*.json", _escaping_plan),
        ("plans/**/*.json", _escaping_sample),
        ("commits/**/*.json", written('{"tars": {}}')),
        ("commits/**/*.json", written("7")),
        ("**/*.npz", _trapped_rows),
        ("**/*.npz", _pickled_rows),
        ("**/*.npz", _escaping_rows),
        ("**/*.npz", written("no rows")),
    ],
)
def test_a_dataset_whose_notes_were_tampered_with_is_refused_by_name(
    pattern: str, tamper: Callable[[Path], None], tmp_path: Path, tree: Path, capsys: Capture
) -> None:
    dataset = tmp_path / "dataset"
    assert shard(capsys, tree, dataset).status == 0
    found = sorted((dataset / ".work" / "v0").glob(f"**/{pattern}"))
    assert found
    tamper(found[0])
    before = {path.name for path in tmp_path.iterdir()}, listing(tree)

    ended = shard(capsys, tree, dataset, "--reshard" if "plans" in pattern else "--no-reshard")

    assert ended.status == 1, ended.err
    ended.told(str(found[0]))
    assert ({path.name for path in tmp_path.iterdir()}, listing(tree)) == before
    assert not list(tmp_path.rglob("sprung"))


def test_a_dedup_table_that_is_none_is_named(tmp_path: Path, tree: Path, capsys: Capture) -> None:
    table = tmp_path / "dedup" / "extraction" / "semdedup_pruning_tables" / "a.parquet"
    table.parent.mkdir(parents=True)
    table.write_bytes(b"PAR1" + bytes(100))

    ended = shard(
        capsys, tree, tmp_path / "dataset", "--input_semantic_dedup_path", str(tmp_path / "dedup")
    )

    assert ended.status == 1
    ended.told(str(table), "needed a parquet table")


@pytest.mark.parametrize(
    ("name", "text", "needle"),
    [
        ("a.json", DEEP, "nest deeper than"),
        ("a.json", '{"limit": ' + "1" * 5000 + "}", "has 5000 digits"),
        ("a.json", '{"limit": Infinity}', "Infinity is no JSON number"),
        ("a.json", " " * (1 << 20) + "{}", "needed a configuration file of at most"),
        ("a.yaml", DEEP, "nest deeper than"),
        ("a.yaml", "- " * 100_000, "nest deeper than"),
        ("a.yaml", "a: &a [1]\nb: [*a, *a]\n", "alias"),
        ("a.yaml", "limit: " + "1" * 5000, "is not YAML"),
        ("a.yaml", "limit: 2026-99-99", "is not YAML"),
        ("a.yaml", "limit: !!python/object/apply:os.mkdir [sprung]", "is not YAML"),
    ],
)
def test_a_configuration_file_of_absurd_content_is_refused(
    name: str, text: str, needle: str, tmp_path: Path, tree: Path, capsys: Capture
) -> None:
    path = tmp_path / name
    path.write_text(text)

    ended = shard(capsys, tree, tmp_path / "dataset", "--config", str(path))

    assert ended.status == 2
    ended.told(str(path), needle)
    assert not (tmp_path / "dataset").exists()


@pytest.mark.parametrize(("num_bytes", "is_read"), [(100, True), (101, False)])
def test_the_size_is_asked_before_a_file_is_read(
    num_bytes: int, is_read: bool, tmp_path: Path
) -> None:
    path = tmp_path / "a.json"
    path.write_text("[" + " " * (num_bytes - 2) + "]")
    if is_read:
        assert read_json(str(path), max_bytes=100) == []
    else:
        with pytest.raises(BadJsonError, match=f"{path}: .*at most 100 bytes, got 101"):
            read_json(str(path), max_bytes=100)


def test_as_deep_as_allowed_is_parsed_and_one_deeper_is_not() -> None:
    assert parse_json("[" * MAX_DEPTH + "]" * MAX_DEPTH) is not None
    with pytest.raises(ValueError, match="nest deeper"):
        parse_json("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1))
    assert parse_json(str(2**63)) == 2**63
    with pytest.raises(ValueError, match="digits"):
        parse_json(str(10**21))


@pytest.mark.parametrize(
    "tamper",
    [
        lambda plan: plan["spans"][0].update(clip_id="../../../x"),
        lambda plan: plan["spans"][0].update(start="1e999999999"),
        lambda plan: plan["spans"][0].update(end="1/0"),
        lambda plan: plan["spans"][0].pop("start_seconds"),
        lambda plan: plan["video"].update(rel="../../x.mp4"),
        lambda plan: plan["facts"].update(width="64"),
        lambda plan: plan.update(chunks=[[0, 10**9]]),
        lambda plan: plan.update(runs=[[-1, 1]]),
        lambda plan: plan.update(facts=[]),
        lambda plan: plan.clear(),
    ],
)
def test_a_tampered_plan_ends_the_run_by_name(
    tamper: Callable[[dict[str, Any]], None], tmp_path: Path, capsys: Capture
) -> None:
    raw, out = tmp_path / "raw", tmp_path / "out"
    raw.mkdir()
    (raw / "a.mp4").write_bytes(base("moov_last.mp4"))
    assert use(capsys, *split(raw, out)).status == 0
    (plan,) = (out / ".work" / "plans").iterdir()
    content = json.loads(plan.read_text())
    tamper(content)
    plan.write_text(json.dumps(content))
    for folder in ("processed_clip_chunks", "clips", "metas", "processed_videos"):
        shutil.rmtree(out / folder)
    before = listing(raw), {path.name for path in tmp_path.iterdir()}

    ended = use(capsys, *split(raw, out))

    assert ended.status == 1, ended.err
    ended.told(str(plan))
    assert (listing(raw), {path.name for path in tmp_path.iterdir()}) == before
