"""The table of damages that ``verify`` must find, by what they concern."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from damages import Told, Victim, copied, cut, edit, flip, flip_digit, flip_member, gone, text

STRAY = "00000000-0000-4000-8000-000000000000"
"""Id of a clip that nobody planned."""
Damage = Callable[[Victim], Told]
WHOLE, WINDOWS = "aspect_ratio_1_1/frames_0_15", "aspect_ratio_4_3/frames_16_31"
"""Bins: of whole clips, and of windows of clips."""


def _change(values: dict[str, Any]) -> Callable[[Any], object]:
    return lambda content: content.update(values)


def _of(clip_id: str, path: Path) -> Told:
    return clip_id, path


CLIPS: dict[str, Damage] = {
    "mp4_truncated": lambda v: _of(v.kept(0), cut(v.clip(v.kept(0)))),
    "mp4_byte_flipped": lambda v: _of(v.kept(1), flip(v.clip(v.kept(1)), -9)),
    "mp4_deleted": lambda v: _of(v.kept(2), gone(v.clip(v.kept(2)))),
    "mp4_is_a_pipe": lambda v: _of(v.kept(4), _pipe(v.clip(v.kept(4)))),
    "rejected_mp4_byte_flipped": lambda v: _of(
        v.ids["rejected.mp4"][0], flip(v.clip(v.ids["rejected.mp4"][0], "filtered_clips"), 99)
    ),
    "metadata_deleted": lambda v: _of(v.kept(0), gone(v.meta(v.kept(0)))),
    "metadata_not_json": lambda v: _of(v.kept(1), text(v.meta(v.kept(1)), '{"sha256": ')),
    "metadata_absurdly_deep": lambda v: _of(v.kept(2), text(v.meta(v.kept(2)), "[" * 100_000)),
    "metadata_a_list": lambda v: _of(v.kept(3), text(v.meta(v.kept(3)), "[]")),
    "metadata_wrong_type": lambda v: _of(
        v.kept(4), edit(v.meta(v.kept(4)), _change({"num_bytes": "many"}))
    ),
    "metadata_field_missing": lambda v: _of(
        v.kept(5), edit(v.meta(v.kept(5)), lambda meta: meta.pop("sha256"))
    ),
    "metadata_sha_changed": lambda v: _of(
        v.kept(0),
        _second(edit(v.meta(v.kept(0)), _change({"sha256": "0" * 64})), v.clip(v.kept(0))),
    ),
    "metadata_leads_outside": lambda v: _of(
        v.kept(1), edit(v.meta(v.kept(1)), _change({"clip_location": "/etc/clips/passwd"}))
    ),
    "metadata_score_changed": lambda v: (
        v.kept(2),
        _second(
            edit(v.meta(v.kept(2)), _change({"num_frames": 11})), v.tar(WHOLE, "metas")
        ),
    ),
    "preview_deleted": lambda v: _of(v.ids["windows.mp4"][0], gone(v.preview(0))),
    "preview_truncated": lambda v: _of(v.ids["windows.mp4"][1], cut(v.preview(1))),
    "preview_leads_outside": lambda v: _of(
        v.kept(3), edit(v.meta(v.kept(3)), _change({"previews": ["../../../x.webp"]}))
    ),
}  # fmt: skip
"""Damage for which clips are made again."""

LEFT_OVERS: dict[str, Damage] = {
    "mp4_in_both_folders": lambda v: _of(
        v.kept(0), copied(v.clip(v.kept(0)), v.clip(v.kept(0), "filtered_clips"))
    ),
    "stray_mp4": lambda v: _of(STRAY, copied(v.clip(v.kept(1)), v.clip(STRAY))),
    "stray_metadata": lambda v: _of(STRAY, copied(v.meta(v.kept(1)), v.meta(STRAY))),
    "stray_preview": lambda v: _of(
        v.kept(2), copied(v.preview(0), v.run.out / "previews" / v.kept(2) / "900_999.webp")
    ),
    "stray_chunk_record": lambda v: _of("sub/slow.mp4#7", copied(v.chunk(0), v.chunk(7))),
    "stray_video_record": lambda v: _of(
        "x.mp4",
        copied(*(v.run.out / "processed_videos" / f"{n}.mp4.json" for n in ("windows", "x"))),
    ),
}
"""What belongs to nothing."""

RECORDS: dict[str, Damage] = {
    "chunk_record_deleted": lambda v: ("sub/slow.mp4#0", gone(v.chunk(0))),
    "chunk_record_a_clip_too_few": lambda v: (
        v.kept(5), edit(v.chunk(1), lambda record: record["clips"].remove(v.kept(5)))
    ),
    "chunk_record_counts_wrong": lambda v: (
        "sub/slow.mp4#0", edit(v.chunk(0), _change({"num_clips_passed": 5}))
    ),
    "chunk_record_empty": lambda v: ("sub/slow.mp4#1", text(v.chunk(1), "")),
    "video_record_deleted": lambda v: (
        "sub/slow.mp4", gone(v.run.out / "processed_videos/sub/slow.mp4.json")
    ),
    "video_record_without_clips_deleted": lambda v: (
        "too short.mp4", gone(v.run.out / "processed_videos/too short.mp4.json")
    ),
    "video_record_wrong": lambda v: (
        "windows.mp4",
        edit(v.run.out / "processed_videos/windows.mp4.json", _change({"num_clip_chunks": 9})),
    ),
    "plan_deleted": lambda v: ("sub/slow.mp4", gone(v.plan("sub/slow.mp4"))),
    "plan_truncated": lambda v: ("windows.mp4", cut(v.plan("windows.mp4"))),
    "plan_a_clip_too_few": lambda v: (
        "sub/slow.mp4", edit(v.plan("sub/slow.mp4"), lambda plan: plan["spans"].pop())
    ),
    "video_failure_deleted": lambda v: ("text.mp4", _planless(gone(v.failure("probe")))),
    "video_failure_not_json": lambda v: (v.failure("probe").stem, cut(v.failure("probe"))),
    "clip_failure_deleted": lambda v: _of(v.failure("cut").stem, _meta_of(gone(v.failure("cut")))),
    "clip_failure_of_another": lambda v: (
        v.failure("cut", 1).stem, edit(v.failure("cut", 1), _change({"id": STRAY}))
    ),
    "run_record_deleted": lambda v: (
        "windows.mp4", _second(gone(v.run.out / "runs/0001.json"), v.plan("windows.mp4"))
    ),
    "run_record_leads_outside": lambda v: (
        "0001",
        edit(v.run.out / "runs/0001.json", lambda run: run["videos"].append(["../x", "x", "x"])),
    ),
    "options_not_json": lambda v: ("options", cut(v.run.out / "runs/options.json")),
    "summary_deleted": lambda v: ("summary", gone(v.run.out / "summary.json")),
    "summary_counts_wrong": lambda v: (
        "total_num_clips_passed",
        edit(v.run.out / "summary.json", _change({"total_num_clips_passed": 77})),
    ),
    "summary_a_clip_too_few": lambda v: (
        "sub/slow.mp4",
        edit(
            v.run.out / "summary.json",
            lambda summary: summary["videos"]["sub/slow.mp4"]["clips"].pop(),
        ),
    ),
}  # fmt: skip
"""Damage of what is said about clips and videos."""

SHARDS: dict[str, Damage] = {
    "tar_deleted": lambda v: (WHOLE, gone(v.tar(WHOLE, "video"))),
    "tar_replaced": lambda v: (
        WINDOWS, copied(v.tar(WHOLE, "metas"), v.tar(WINDOWS, "metas"))
    ),
    "tar_replaced_at_the_same_size": lambda v: (
        WINDOWS,
        copied(v.tar(WINDOWS.replace("16_31", "0_15"), "metas"), v.tar(WINDOWS, "metas")),
    ),
    "tar_clip_flipped": lambda v: (WHOLE, flip_member(v.tar(WHOLE, "video"), 1, "content")),
    "tar_window_flipped": lambda v: (WINDOWS, flip_member(v.tar(WINDOWS, "video"), 1, "content")),
    "tar_header_flipped": lambda v: (WHOLE, flip_member(v.tar(WHOLE, "video"), 1, "header")),
    "tar_padding_flipped": lambda v: (WHOLE, flip_member(v.tar(WHOLE, "metas"), 0, "padding")),
    "tar_end_flipped": lambda v: (WHOLE, flip(v.tar(WHOLE, "metas"), -1)),
    "tar_json_flipped": lambda v: (WHOLE, flip_digit(v.tar(WHOLE, "metas"), 2, b'"num_frames":')),
    "tar_truncated": lambda v: (WINDOWS, cut(v.tar(WINDOWS, "video"))),
    "stray_tar": lambda v: (
        "000007.tar",
        copied(v.tar(WHOLE, "video"), v.tar(WHOLE, "video").with_name("000007.tar")),
    ),
    "shard_commit_deleted": lambda v: (WHOLE, gone(v.commit(WHOLE))),
    "shard_commit_counts_wrong": lambda v: (
        WINDOWS, edit(v.commit(WINDOWS), _change({"num_samples": 1}))
    ),
    "shard_commit_not_json": lambda v: (WHOLE, cut(v.commit(WHOLE))),
    "shard_plan_deleted": lambda v: ("part_000000/000000.tar", _stray_of(gone(_plan(v)), v)),
    "shard_plan_truncated": lambda v: ("part_000000", cut(_plan(v))),
    "dataset_state_deleted": lambda v: ("v0", gone(v.work / "dataset.json")),
    "wdinfo_wrong": lambda v: (
        WHOLE,
        edit(v.tar(WHOLE, "video").parents[2] / "wdinfo.json", _change({"total_key_count": 99})),
    ),
    "wdinfo_deleted": lambda v: (WHOLE, gone(v.tar(WHOLE, "video").parents[2] / "wdinfo.json")),
    "wdinfo_list_wrong": lambda v: (
        "wdinfo_list",
        text(v.version / "wdinfo_list.csv", (v.version / "wdinfo_list.csv").read_text()[:-20]),
    ),
    "dropped_clips_wrong": lambda v: (
        v.kept(0),
        edit(v.version / "dropped_clips.json", lambda d: d["dropped"].update(x=[v.kept(0)])),
    ),
    "dropped_clips_deleted": lambda v: ("dropped_clips", gone(v.version / "dropped_clips.json")),
    "planned_drops_wrong": lambda v: (
        v.ids["too wide.mp4"][0],
        edit(v.work / "dropped.json", lambda d: d["dropped"].clear()),
    ),
}  # fmt: skip
"""Damage of the dataset."""


def _pipe(path: Path) -> Path:
    path.unlink()
    os.mkfifo(path)
    return path


def _second(_damaged: Path, named: Path) -> Path:
    return named


def _planless(failure: Path) -> Path:
    return failure.parents[2] / ".work" / "plans" / failure.name


def _meta_of(failure: Path) -> Path:
    return failure.parents[2] / "metas" / "v0" / failure.name


def _plan(victim: Victim) -> Path:
    (found,) = victim.work.glob(f"generation_000000/plans/*/{WHOLE}/part_000000.json")
    return found


def _stray_of(_plan: Path, victim: Victim) -> Path:
    return victim.tar(WHOLE, "video")
