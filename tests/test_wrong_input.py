"""Inputs that are missing, no videos, or damaged: each is named, and the good ones become clips."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from make_video import VideoSpec, make_video
from wrong_use import Ended, listing, split, use, use_process

Capture = pytest.CaptureFixture[str]
# What is wrong with each file of the folder ``bad``.
BAD_REASONS = {
    "decord_corrupted.mp4": {"decode_error"},
    "fate_h264_brokensps.mp4": {"frame_size_change"},
    "fate_h264_mov-3elist-encrypted.mp4": {"encrypted"},
    "fate_h264_white_zombie_scrunch-part.mp4": {"truncated"},
    "fate_vp8_frame_size_change.mp4": {"frame_size_change"},
    "text.mp4": {"not_media"},
    "sound.mp4": {"no_video_stream"},
    "zero.mp4": {"empty_file"},
    "hole.mp4": {"clip_does_not_decode"},
}
# These have good parts, and those become clips.
PARTLY_GOOD = {"decord_corrupted.mp4", "fate_h264_brokensps.mp4"}


def make_sound(path: Path) -> None:
    with av.open(str(path), "w") as out:
        stream = out.add_stream("aac", rate=48000)
        stream.layout = "mono"
        for number in range(60):
            samples = np.zeros((1, 1024), np.float32)
            frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 48000, number * 1024
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))


def make_hole(path: Path) -> None:
    """Make a video that may be passed through as it is, with rubbish in half of its packets."""
    make_video(path, VideoSpec(seconds=1))
    data = bytearray(path.read_bytes())
    start, end = data.index(b"mdat") + 4, data.index(b"moov") - 8
    middle = (start + end) // 2
    data[middle:end] = b"\xff" * (end - middle)
    path.write_bytes(data)


def failures(out: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted((out / "failures").rglob("*.json"))]


def sources(out: Path) -> set[str]:
    """Return the names of the videos that gave clips."""
    metas = [json.loads(path.read_text()) for path in (out / "metas" / "v0").glob("*.json")]
    return {Path(meta["source_video"]).name for meta in metas}


@pytest.mark.parametrize(
    ("made", "needles"),
    [
        (None, ["no such file or folder", "give a folder of videos"]),
        ([], ["holds no video", "give a folder that holds video files"]),
        (
            ["notes.txt", "a.json", ".DS_Store"],
            ["holds no video", "3 files are no videos by their names"],
        ),
    ],
    ids=["missing", "empty", "sidecars"],
)
def test_an_input_without_videos_is_refused(
    made: list[str] | None, needles: list[str], tmp_path: Path, capsys: Capture
) -> None:
    raw = tmp_path / "raw"
    if made is not None:
        raw.mkdir()
        for name in made:
            (raw / name).write_text("x")
    before = listing(tmp_path)
    ended = use(capsys, *split(raw, tmp_path / "out"))
    assert ended.status == 1
    ended.told(f"input_video_path={raw}", *needles)
    assert len(ended.complaints) == 1
    assert listing(tmp_path) == before


@pytest.mark.parametrize(
    ("written", "status", "needles"),
    [
        (None, 1, ["list.json", "no such file"]),
        ("a.mp4", 1, ["list.json", "not valid JSON"]),
        ('{"a.mp4": 1}', 2, ["list.json", "must be a JSON array of paths"]),
        ('["/elsewhere/a.mp4"]', 2, ["/elsewhere/a.mp4 does not lie below input_video_path"]),
        ('["RAW/gone.mp4"]', 1, ["raw/gone.mp4", "no such file"]),
    ],
    ids=["missing", "no json", "no array", "outside", "gone"],
)
def test_a_list_of_inputs_that_cannot_be_used_is_refused(
    written: str | None, status: int, needles: list[str], tmp_path: Path, capsys: Capture
) -> None:
    raw, listed = tmp_path / "raw", tmp_path / "list.json"
    raw.mkdir()
    (raw / "a.mp4").write_bytes(b"x")
    if written is not None:
        listed.write_text(written.replace("RAW", str(raw)))
    before = listing(tmp_path)
    options = ("--input_video_list_json_path", listed)
    ended = use(capsys, *split(raw, tmp_path / "out", *options))
    assert ended.status == status
    ended.told(*needles)
    assert len(ended.complaints) == 1
    assert listing(tmp_path) == before


@dataclass(frozen=True)
class FirstRun:
    """What a run over damaged files left."""

    raw: Path
    out: Path
    ended: Ended
    failures: list[dict[str, Any]]
    sources: set[str]


# Spans of two seconds: few clips, and videos of one second may be passed through.
OPTIONS = ("--splitting_algorithm", "fixed-stride", "--fixed_stride_split_duration", "2")


@pytest.fixture(scope="module")
def damaged(real_videos: Path, tmp_path_factory: pytest.TempPathFactory) -> FirstRun:
    raw = tmp_path_factory.mktemp("damaged") / "raw"
    raw.mkdir()
    for path in (real_videos / "bad").glob("*.mp4"):
        shutil.copyfile(path, raw / path.name)
    (raw / "text.mp4").write_text("this is no video")
    (raw / "zero.mp4").write_bytes(b"")
    make_sound(raw / "sound.mp4")
    make_hole(raw / "hole.mp4")
    make_video(raw / "good 1.mp4", VideoSpec(seconds=2))
    make_video(raw / "good 2.mp4", VideoSpec(seconds=1))
    out = raw.parent / "out"
    ended = use_process(*split(raw, out, *OPTIONS))
    return FirstRun(raw, out, ended, failures(out), sources(out))


def test_each_damaged_file_fails_with_its_reason(damaged: FirstRun) -> None:
    found: dict[str, set[str]] = {}
    for failure in damaged.failures:
        found.setdefault(failure["rel"], set()).add(failure["reason"])
        assert str(damaged.raw / failure["rel"]) in failure["message"]
    assert found == BAD_REASONS
    assert damaged.sources == {"good 1.mp4", "good 2.mp4", *PARTLY_GOOD}


def test_the_run_tells_what_failed_and_what_to_do(damaged: FirstRun) -> None:
    ended = damaged.ended
    assert ended.status == 1
    num_failed = len(BAD_REASONS) - len(PARTLY_GOOD)
    ended.told(f"{num_failed} of 11 videos failed, more than max_failed_share=0.05 allows")
    ended.told("mend or remove them", "--retry_failed")
    assert str(damaged.out / "failures") in ended.out
    for reason in ("probe not_media:", "cut truncated (12 times):", "look clip_does_not_decode:"):
        assert ended.out.count(reason) == 1


def test_allowed_failures_give_status_3_until_they_are_mended(
    damaged: FirstRun, capsys: Capture
) -> None:
    raw, out = damaged.raw, damaged.out
    for _ in range(2):
        before = listing(out)
        ended = use(capsys, *split(raw, out, *OPTIONS, "--max_failed_share", "0.9"))
        assert ended.status == 3
        assert "nothing was left to do" in ended.out
        assert not ended.complaints
        # The options of the run are stored anew, with the other share.
        changed = {rel for rel, facts in listing(out).items() if facts != before.get(rel)}
        assert changed <= {"runs", "runs/options.json"}

    mended = ["zero.mp4", "text.mp4", "fate_vp8_frame_size_change.mp4"]
    for name in mended:
        shutil.copyfile(raw / "good 1.mp4", raw / name)
    clips = listing(out / "clips")
    use(capsys, *split(raw, out, *OPTIONS))
    assert listing(out / "clips") == clips, "failed files are not tried by themselves"
    ended = use(capsys, *split(raw, out, *OPTIONS, "--retry_failed"))
    assert ended.status == 1
    ended.told("4 of 11 videos failed")
    assert {failure["rel"] for failure in failures(out)} == set(BAD_REASONS) - set(mended)
    after = listing(out / "clips")
    assert {rel: after[rel] for rel in clips} == clips
    assert sources(out) == {"good 1.mp4", "good 2.mp4", *PARTLY_GOOD, *mended}


def test_videos_too_short_for_a_clip_are_counted(tmp_path: Path, capsys: Capture) -> None:
    raw, out = tmp_path / "raw", tmp_path / "out"
    raw.mkdir()
    make_video(raw / "short.mp4", VideoSpec(seconds=0.4))
    for _ in range(2):
        ended = use(capsys, *split(raw, out))
        assert ended.status == 1
        ended.told("no clip came out of 1 videos", "too short", "fixed_stride_min_clip_length_s")
    make_video(raw / "whole.mp4", VideoSpec(seconds=1))
    ended = use(capsys, *split(raw, out))
    assert ended.status == 0
    assert "2: 1 curated, 1 too short for a clip, 0 failed" in ended.out
    summary = json.loads((out / "summary.json").read_text())
    assert summary["num_processed_videos"] == 2


def test_nothing_but_failures_ends_with_status_1(tmp_path: Path, capsys: Capture) -> None:
    raw, out = tmp_path / "raw", tmp_path / "out"
    raw.mkdir()
    (raw / "zero.mp4").write_bytes(b"")
    (raw / "text.mp4").write_text("this is no video")
    ended = use(capsys, *split(raw, out, "--max_failed_share", "1"))
    assert ended.status == 1
    ended.told("no clip came out of 2 videos")
    assert use(capsys, *split(raw, out)).status == 1
    assert len(failures(out)) == 2
