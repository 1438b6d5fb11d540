"""``verify`` finds and names every kind of damage; after a repair the same command mends it."""

from __future__ import annotations

import itertools
import json
import os
import random
import shutil
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from damage_cases import CLIPS, LEFT_OVERS, RECORDS, SHARDS, STRAY, WHOLE
from damages import Victim, copied, cut, edit, flip_member, gone
from independent_ledger import check
from make_video import VideoSpec, make_video
from run_command import Curated
from wrong_use import Ended, listing, use

from transforms.formats.catalogue import Place, kinds_of
from transforms.layout import lease_uri
from transforms.lease import hold_lease

OPTIONS = (
    *(
        "--splitting_algorithm",
        "fixed-stride",
        "--fixed_stride_split_duration",
        "2",
        "--fixed_stride_min_clip_length_s",
        "1",
    ),
    *("--clip_re_chunk_size", "1", "--generate_previews", "--max_failed_share", "1"),
    *("--captioning_window_size", "16", "--captioning_remainder_threshold", "8"),
    *("--motion_filter", "enable", "--motion_global_mean_threshold", "1"),
)
DAMAGES = {**CLIPS, **LEFT_OVERS, **RECORDS, **SHARDS}


def _make_inputs(raw: Path) -> None:
    (raw / "sub").mkdir(parents=True)
    # 10 frames a clip: one window. 50 frames: three.
    slow = VideoSpec(seconds=12, size=(64, 64), fps=Fraction(5), keyframe_every=5)
    make_video(raw / "sub" / "slow.mp4", slow)
    make_video(raw / "windows.mp4", VideoSpec(seconds=4, size=(96, 64), audio="aac"))
    make_video(raw / "rejected.mp4", VideoSpec(size=(256, 256), fps=Fraction(10)))
    make_video(raw / "too wide.mp4", VideoSpec(size=(352, 32), fps=Fraction(10)))
    make_video(raw / "too short.mp4", VideoSpec(seconds=0.4, size=(64, 64)))
    faststart = (("movflags", "faststart"),)
    cut_off = VideoSpec(seconds=4, size=(64, 64), noise=True, container_options=faststart)
    cut(make_video(raw / "cut off.mp4", cut_off))
    (raw / "text.mp4").write_text("no video")


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> tuple[Curated, Path, dict[str, str]]:
    """Return the places of a finished run, an untouched copy of it, and its trees."""
    folder = tmp_path_factory.mktemp("verify")
    run = Curated.below(folder, folder / "raw")
    _make_inputs(run.raw)
    assert run.curate(*OPTIONS) == 3
    assert check(run.out, run.dataset) == []
    for name in ("processed", "webdataset"):
        shutil.copytree(folder / name, folder / "copy" / name)
    return run, folder / "copy", run.trees()


@pytest.fixture
def run(pristine: tuple[Curated, Path, dict[str, str]]) -> Curated:
    """Return the finished run as it was; paths stand in its files, so it lies where it was made."""
    found, copy, _ = pristine
    for folder in (found.out, found.dataset):
        shutil.rmtree(folder)
        shutil.copytree(copy / folder.name, folder)
    return found


@pytest.fixture
def trees(pristine: tuple[Curated, Path, dict[str, str]]) -> dict[str, str]:
    """Return the trees of the untouched output."""
    return pristine[2]


def test_what_the_cases_need_is_there(run: Curated) -> None:
    victim = Victim(run)
    counts = {rel: len(ids) for rel, ids in victim.ids.items()}
    assert counts == {"sub/slow.mp4": 6, "windows.mp4": 2, "rejected.mp4": 1, "too wide.mp4": 1}
    assert victim.chunk(0).exists()
    assert victim.chunk(1).exists()
    assert len(list((run.out / "failures" / "cut").iterdir())) == 2
    assert len(list(run.dataset.rglob("*.tar"))) == 8
    assert (run.dataset / "v0" / "dropped_clips.json").exists()


def test_an_intact_output_is_intact_and_nothing_is_written(
    run: Curated, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {**listing(run.out), **listing(run.dataset)}
    for path in (run.out, run.dataset):
        ended = use(capsys, "verify", path)
        assert ended.status == 0, ended.out
        assert "intact and complete" in ended.out
    assert "10 good of 12 planned" in use(capsys, "verify", run.out).out
    assert {**listing(run.out), **listing(run.dataset)} == before


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_named(name: str, run: Curated, capsys: pytest.CaptureFixture[str]) -> None:
    identity, path = DAMAGES[name](Victim(run))
    ended = use(capsys, "verify", run.out)
    assert ended.status == 1, ended.out
    assert "Traceback" not in ended.err
    lines = [line for line in ended.out.splitlines() if identity in line and str(path) in line]
    assert lines, f"{identity} and {path} not in:\n{ended.out}"


REPAIRS = (
    # What only the end of a run writes is mended alone: another damage would open a run.
    *(("summary_deleted",), ("summary_counts_wrong",), ("stray_video_record",)),
    ("mp4_in_both_folders", "stray_mp4", "stray_metadata", "stray_preview", "stray_chunk_record"),
    ("mp4_truncated", "mp4_byte_flipped", "mp4_deleted", "mp4_is_a_pipe", "preview_deleted"),
    ("rejected_mp4_byte_flipped", "video_record_without_clips_deleted", "preview_truncated"),
    ("metadata_deleted", "metadata_not_json", "metadata_absurdly_deep", "preview_leads_outside"),
    ("metadata_sha_changed", "metadata_leads_outside", "metadata_wrong_type"),
    ("metadata_score_changed", "metadata_a_list", "metadata_field_missing", "video_record_wrong"),
    ("chunk_record_deleted", "chunk_record_a_clip_too_few", "video_failure_deleted"),
    ("chunk_record_counts_wrong", "chunk_record_empty", "video_failure_not_json"),
    *(("video_record_deleted",), ("plan_deleted", "plan_truncated"), ("plan_a_clip_too_few",)),
    ("clip_failure_of_another", "clip_failure_deleted", "summary_a_clip_too_few"),
    *(("run_record_deleted",), ("run_record_leads_outside",), ("options_not_json",)),
    ("tar_deleted", "tar_replaced"),
    ("tar_replaced_at_the_same_size", "tar_clip_flipped"),
    *(("tar_window_flipped", "tar_header_flipped"), ("tar_padding_flipped", "tar_truncated")),
    *(("tar_end_flipped", "stray_tar"), ("tar_json_flipped", "shard_commit_counts_wrong")),
    *(("shard_commit_deleted",), ("shard_commit_not_json",)),
    *(("shard_plan_deleted",), ("shard_plan_truncated",), ("dataset_state_deleted",)),
    ("wdinfo_wrong", "wdinfo_list_wrong", "dropped_clips_wrong"),
    ("wdinfo_deleted", "dropped_clips_deleted", "planned_drops_wrong"),
)
"""Damages that are mended at once, each in a place of its own."""


def test_every_damage_is_repaired_somewhere() -> None:
    assert sorted(name for names in REPAIRS for name in names) == sorted(DAMAGES)


@pytest.mark.parametrize("names", REPAIRS, ids="+".join)
def test_a_repair_and_the_same_command_give_the_same_bytes(
    names: tuple[str, ...],
    run: Curated,
    trees: dict[str, str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    victim = Victim(run)
    assert victim.ids
    for name in names:
        DAMAGES[name](victim)
    assert use(capsys, "verify", run.out, "--repair").status == 1
    assert run.curate(*OPTIONS) == 3
    ended = use(capsys, "verify", run.out)
    assert ended.status == 0, ended.out
    assert run.trees() == trees
    assert check(run.out, run.dataset) == []


def test_what_is_only_missing_needs_no_repair(
    run: Curated, trees: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    victim = Victim(run)
    assert victim.ids
    for name in (
        "chunk_record_deleted",
        "video_record_without_clips_deleted",
        "tar_truncated",
        "shard_commit_deleted",
    ):
        DAMAGES[name](victim)
    ended = use(capsys, "verify", run.out)
    assert ended.status == 1
    assert "Nothing that is committed is damaged" in ended.out
    assert "--repair" not in ended.out
    assert run.curate(*OPTIONS) == 3
    assert run.trees() == trees


def test_an_unfinished_run_is_incomplete_and_the_same_command_goes_on(
    run: Curated, trees: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    victim = Victim(run)
    lost = [victim.kept(4), victim.kept(5)]
    # As a run leaves it that is killed in its second chunk, between an mp4 and its metadata.
    gone(victim.chunk(1))
    gone(victim.clip(lost[0]))
    for clip_id in lost:
        gone(victim.meta(clip_id))
        shutil.rmtree(run.out / "previews" / clip_id)
    shutil.rmtree(run.dataset)
    record = (run.out / "runs" / "0001.json").rename(run.out / "runs" / "current.json")
    edit(record, lambda content: [content.pop(name) for name in ("minutes", "ledger")])
    gone(run.out / "summary.json")
    before = listing(run.out)
    ended = use(capsys, "verify", run.out)
    assert ended.status == 1
    assert "incomplete: 2 clips to do; run the same command again" in ended.out
    assert f"2 of its 2 clips are to do: {lost[0]}, {lost[1]}" in ended.out
    assert listing(run.out) == before
    assert run.curate(*OPTIONS) == 3
    assert run.trees() == trees


def test_a_dataset_alone_is_verified_by_its_own_files(
    run: Curated, capsys: pytest.CaptureFixture[str]
) -> None:
    victim = Victim(run)
    commit = victim.commit(WHOLE)
    assert use(capsys, "verify", run.dataset).status == 0
    tar = flip_member(victim.tar(WHOLE, "video"), 1, "content")
    ended = use(capsys, "verify", run.dataset)
    assert ended.status == 1
    assert f"shard resolution_lt_720/{WHOLE}/part_000000/000000.tar: {tar}: " in ended.out
    assert use(capsys, "verify", run.dataset, "--repair").status == 1
    assert not commit.exists()


def test_a_moved_output_is_intact(
    run: Curated, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(run.out, tmp_path / "moved")
    shutil.copytree(run.dataset, tmp_path / "data")
    assert use(capsys, "verify", tmp_path / "moved").status == 0
    assert use(capsys, "verify", tmp_path / "data").status == 0


def test_a_clip_made_anew_in_a_moved_output_agrees_with_its_shard(
    run: Curated, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    moved = Curated.below(tmp_path, run.raw)
    shutil.copytree(run.out, moved.out)
    shutil.copytree(run.dataset, moved.dataset)
    next((moved.out / "clips").iterdir()).unlink()
    assert use(capsys, "verify", moved.out, "--repair").status == 1
    assert moved.curate(*OPTIONS) == 3
    ended = use(capsys, "verify", moved.out)
    assert ended.status == 0, ended.out
    ended = use(capsys, "verify", moved.dataset)
    assert ended.status == 0, ended.out


def test_nothing_outside_the_root_is_touched(
    run: Curated, capsys: pytest.CaptureFixture[str]
) -> None:
    victim = Victim(run)
    outside = copied(victim.clip(victim.kept(0)), run.out.parent / "clips" / "outside.mp4")
    shutil.copyfile(victim.clip(victim.kept(0)), run.out.parent / "x.webp")
    for name in ("metadata_leads_outside", "preview_leads_outside", "run_record_leads_outside"):
        DAMAGES[name](victim)
    meta = victim.meta(victim.kept(0))
    edit(meta, lambda content: content.update(clip_location=str(outside)))
    before = listing(run.raw), outside.read_bytes()
    assert use(capsys, "verify", run.out, "--repair").status == 1
    assert (listing(run.raw), outside.read_bytes()) == before
    assert (run.out.parent / "x.webp").exists()
    shutil.rmtree(outside.parent)
    (run.out.parent / "x.webp").unlink()


def test_files_of_others_are_left_alone(run: Curated, capsys: pytest.CaptureFixture[str]) -> None:
    for path in (run.out / "clips" / "notes.txt", run.out / "mine.json", run.dataset / "v0" / "x"):
        path.write_text("mine")
    os.mkfifo(run.out / "clips" / "pipe")
    assert use(capsys, "verify", run.out).status == 0


def test_a_run_at_work_is_mentioned_and_keeps_a_repair_out(
    run: Curated, capsys: pytest.CaptureFixture[str]
) -> None:
    DAMAGES["mp4_truncated"](Victim(run))
    with hold_lease(lease_uri(str(run.out)), "run-at-work"):
        ended = use(capsys, "verify", run.out)
        assert ended.status == 1
        assert "run-at-work" in ended.err
        before = listing(run.out)
        refused = use(capsys, "verify", run.out, "--repair")
        assert refused.status == 1
        refused.told("run-at-work", "works here")
        assert listing(run.out) == before
    assert "files removed" in use(capsys, "verify", run.out, "--repair").out


@pytest.mark.parametrize(
    ("words", "needles"),
    [
        ((), ("needs one path", "got nothing")),
        (("--repair",), ("needs one path", "got nothing")),
        (("a", "b"), ("needs one path", "got a, b")),
        (("{out}", "--repiar"), ("--repiar", "did you mean repair?")),
        (("{out}", "--limit=3"), ("--limit=3: verify has no such option",)),
        (("{out}/nowhere",), ("there is no such folder",)),
        (("{out}/summary.json",), ("there is no such folder",)),
        (("{raw}",), ("neither an output of split or curate", "nor a dataset")),
    ],
)
def test_wrong_use(
    words: tuple[str, ...],
    needles: tuple[str, ...],
    run: Curated,
    capsys: pytest.CaptureFixture[str],
) -> None:
    ended: Ended = use(capsys, "verify", *(word.format(out=run.out, raw=run.raw) for word in words))
    assert ended.status == 2
    ended.told(*needles)


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    ended = use(capsys, "verify", "--help")
    assert ended.status == 0
    for words in ("verify OUT [--repair]", "same bytes", "  0 ", "  1 ", "  2 "):
        assert words in ended.out, words
    assert "verify OUT [--repair]" in use(capsys, "--help").out


def test_repair_may_stand_before_the_path(run: Curated, capsys: pytest.CaptureFixture[str]) -> None:
    stray = copied(Victim(run).clip(Victim(run).kept(1)), Victim(run).clip(STRAY))
    assert use(capsys, "verify", "--repair", run.out).status == 1
    assert not stray.exists()
    assert use(capsys, "verify", "--repair", run.out).status == 0


GARBAGE = (b"[]", b"null", b'{"a": 1}', b"\xff\xfe", b'{"a": NaN}', b"[" * 100_000, b'"x"')
WEIRD: tuple[Any, ...] = (None, [], {}, "x", -1, "../../../etc/passwd", [None], [["a"]], 1e300)


def _a_file_of_each_kind(run: Curated) -> list[Path]:
    found: dict[str, Path] = {}
    places: tuple[tuple[Place, Path], ...] = (("output", run.out), ("dataset", run.dataset))
    for place, root in places:
        for path in sorted(root.rglob("*.json")):
            for kind in kinds_of(place, path.relative_to(root).as_posix()):
                found.setdefault(f"{place} {kind.path}", path)
    return list(found.values())


def test_files_full_of_garbage_are_findings(
    run: Curated, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [path for path in _a_file_of_each_kind(run) if "performance" not in path.name]
    assert len(paths) == 15
    for path, garbage in zip(paths, itertools.cycle(GARBAGE)):
        before = path.read_bytes()
        path.write_bytes(garbage)
        ended = use(capsys, "verify", run.out)
        assert ended.status == 1, path
        assert str(path) in ended.out
        path.write_bytes(before)


def test_fields_of_any_type_and_value_end_no_verification(
    run: Curated, capsys: pytest.CaptureFixture[str]
) -> None:
    choice = random.Random(0)
    for path in _a_file_of_each_kind(run):
        before = path.read_bytes()
        for _ in range(3):
            content = json.loads(before)
            name = choice.choice(sorted(content))
            content[name] = choice.choice(WEIRD)
            path.write_text(json.dumps(content))
            ended = use(capsys, "verify", run.out)
            assert ended.status in (0, 1), (path, name, content[name])
            assert "Traceback" not in ended.err
        path.write_bytes(before)
