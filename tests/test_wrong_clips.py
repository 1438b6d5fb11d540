"""Wrong use of shots and of the forms of clips, by the real command: a name, a reason, a way on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from coded_video import Made, make_coded
from ffmpeg_oracle import ffmpeg
from luma_video import luma_video
from model_packages import NEEDS_TORCH
from shot_videos import ShotVideo, make_shots
from wrong_use import split, use

Capture = pytest.CaptureFixture[str]
X264 = ("-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p")
ALL_LENGTHS = ("--transnetv2_min_length_s", "0", "--transnetv2_min_length_frames", "1")


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    folder = tmp_path / "raw"
    folder.mkdir()
    return folder


def metas(out: Path) -> dict[str, dict[str, Any]]:
    """Return the metadata of clips by the name of their video; one clip per video."""
    found = [json.loads(path.read_text()) for path in (out / "metas" / "v0").glob("*.json")]
    by_name = {Path(meta["source_video"]).name: meta for meta in found}
    assert len(by_name) == len(found)
    return by_name


def failures(out: Path) -> list[tuple[str, str, str]]:
    """Return stage, reason and message of every failure."""
    found = [json.loads(path.read_text()) for path in sorted((out / "failures").rglob("*.json"))]
    return [(one["stage"], one["reason"], one["message"]) for one in found]


@pytest.mark.parametrize(
    "algorithm",
    [
        "content",
        pytest.param("transnetv2", marks=NEEDS_TORCH),
        pytest.param("hybrid", marks=NEEDS_TORCH),
    ],
)
def test_videos_of_one_frame_and_shorter_than_a_window(
    algorithm: str, raw: Path, tmp_path: Path, capsys: Capture
) -> None:
    lengths = {"one.mp4": 1, "two.mp4": 2, "twelve.mp4": 12, "window.mp4": 51}
    for name, length in lengths.items():
        make_shots(raw / name, ShotVideo((length,)))
    options = ("--splitting_algorithm", algorithm, *ALL_LENGTHS, "--transnetv2_crop_s", "0")
    ended = use(capsys, *split(raw, tmp_path / "out", *options))
    assert ended.status == 0, ended.err
    found = {name: meta["num_frames"] for name, meta in metas(tmp_path / "out").items()}
    assert found == lengths


def test_cropping_away_every_shot(raw: Path, tmp_path: Path, capsys: Capture) -> None:
    make_shots(raw / "a.mp4", ShotVideo((30, 45)))
    options = ("--splitting_algorithm", "content", *ALL_LENGTHS, "--transnetv2_crop_s", "1")
    ended = use(capsys, *split(raw, tmp_path / "out", *options))
    assert ended.status == 1
    ended.told("no clip came out of 1 videos", "without transnetv2_crop_s at both ends")
    record = json.loads((tmp_path / "out" / "processed_videos" / "a.mp4.json").read_text())
    assert record["num_total_clips"] == 0
    assert (record["uncovered"][0][0], record["uncovered"][-1][1]) == (0, 3.0)
    assert not failures(tmp_path / "out")


def test_cropping_away_the_whole_picture(raw: Path, tmp_path: Path, capsys: Capture) -> None:
    luma_video(raw / "black.mp4", [np.full((128, 192), 16, np.uint8)] * 30)
    ended = use(capsys, *split(raw, tmp_path / "out", "--crop_black_bars"))
    assert ended.status == 1
    [(stage, reason, message)] = failures(tmp_path / "out")
    assert (stage, reason) == ("cut", "all_black")
    assert "black.mp4: crop_black_bars would cut away" in message


def test_a_frame_multiple_longer_than_every_clip(
    raw: Path, tmp_path: Path, capsys: Capture
) -> None:
    make_coded(raw, Made("a.mp4", X264, num_frames=50))
    options = ("--clip_fps", "4", "--clip_frame_multiple", "8n+1", "--max_failed_share", "1")
    ended = use(capsys, *split(raw, tmp_path / "out", *options))
    assert ended.status == 1
    ended.told("no clip came out of 1 videos")
    assert "cut too_few_frames (2 times)" in ended.out
    for _, _, message in failures(tmp_path / "out"):
        assert "the clip has 4 frames, fewer than the 9 that clip_frame_multiple 8n+1" in message
        assert "leave clip_frame_multiple out" in message


@pytest.mark.parametrize("keep", [(), ("--keep_hdr",)], ids=["mapped", "kept"])
def test_high_dynamic_range_without_tags_is_not_guessed_at(
    keep: tuple[str, ...], raw: Path, tmp_path: Path, capsys: Capture
) -> None:
    test = ("-f", "lavfi", "-i", "testsrc2=size=96x64:rate=25:duration=1")
    hevc = ("-c:v", "libx265", "-x265-params", "log-level=none", "-pix_fmt", "yuv420p10le")
    ffmpeg(*test, *hevc, str(raw / "untagged.mp4"))
    ended = use(capsys, *split(raw, tmp_path / "out", *keep))
    assert ended.status == 0, ended.err
    [meta] = metas(tmp_path / "out").values()
    with av.open(meta["clip_location"]) as container:
        frame = next(container.decode(video=0))
    assert frame.format.name == "yuv420p"
    assert (int(frame.color_primaries), int(frame.color_trc)) == (2, 2), "no tag is made up"


def test_an_encoder_of_8_bits_cannot_keep_high_dynamic_range(
    raw: Path, tmp_path: Path, capsys: Capture
) -> None:
    make_coded(raw, Made("a.mp4", X264, num_frames=25))
    options = ("--transcode_encoder", "libsvtav1", "--keep_hdr")
    ended = use(capsys, *split(raw, tmp_path / "out", *options))
    assert ended.status == 1
    ended.told("keep_hdr true: libsvtav1 encodes 8 bits", "take transcode_encoder libx264")
    assert len(ended.complaints) == 1
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]


def test_a_codec_that_does_not_fit_into_the_container(
    raw: Path, tmp_path: Path, capsys: Capture
) -> None:
    make_coded(raw, Made("a.webm", ("-c:v", "libvpx", "-pix_fmt", "yuv420p"), num_frames=25))
    make_coded(raw, Made("b.mp4", X264, num_frames=25))
    options = ("--transcode_encoder", "copy", "--max_failed_share", "1")
    ended = use(capsys, *split(raw, tmp_path / "out", *options))
    assert ended.status == 3
    [(stage, reason, message)] = failures(tmp_path / "out")
    assert (stage, reason) == ("cut", "not_copyable")
    assert "a.webm: vp8 does not fit into mp4" in message
    assert metas(tmp_path / "out").keys() == {"b.mp4"}
