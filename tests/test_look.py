"""The look at a finished clip: facts, windows, and what it refuses."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import re
import subprocess
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np
import pytest
from make_video import VideoSpec

from transforms.errors import MediaError
from transforms.json_records import from_plain, to_plain
from transforms.media.look import LookSettings, MotionSettings, PreviewSettings, look
from transforms.media.observers.frame_count import FrameCount
from transforms.media.observers.observer import Findings
from transforms.records import Window


def packet_sizes(path: Path) -> list[int]:
    """Return the video packets' sizes in presentation order, as the ffmpeg program lists them."""
    program = imageio_ffmpeg.get_ffmpeg_exe()
    command = [program, "-v", "error", "-i", str(path), "-map", "0:v", "-c", "copy"]
    listing = subprocess.run(
        [*command, "-f", "framecrc", "-"], capture_output=True, check=True, text=True
    ).stdout
    rows = [line.split(",") for line in listing.splitlines() if not line.startswith("#")]
    return [int(row[4]) for row in sorted(rows, key=lambda row: int(row[2]))]


def test_facts_and_windows(made_video: Callable[[str, VideoSpec], Path], tmp_path: Path) -> None:
    spec = VideoSpec(
        seconds=4.0, size=(160, 96), fps=Fraction(30000, 1001), b_frames=2, audio="aac"
    )
    path = made_video("clip.mp4", spec)
    settings = LookSettings(window_size=21, remainder_threshold=20)
    result = look(path, settings, preview_folder=tmp_path / "previews")
    data, sizes = path.read_bytes(), packet_sizes(path)
    assert len(sizes) == 120
    assert result.num_bytes == len(data)
    assert result.sha256 == hashlib.sha256(data).hexdigest()
    assert (result.width, result.height, result.num_frames) == (160, 96, 120)
    assert result.framerate == pytest.approx(30000 / 1001, rel=1e-9)
    assert result.video_codec == "h264"
    # 120 = 5 * 21 + 15: the rest is short of 20, so the last window is extended.
    edges = [0, 21, 42, 63, 84, 120]
    assert result.windows == tuple(
        Window(start, end, sum(sizes[start:end])) for start, end in itertools.pairwise(edges)
    )
    assert (result.scores, result.notes, result.preview_files) == ({}, {}, ())
    assert not (tmp_path / "previews").exists()


def test_real_clips_have_the_decoded_counts(real_videos: Path, tmp_path: Path) -> None:
    # From MANIFEST.tsv, where other programs counted them.
    expected = {
        "skv_bikes.mp4": (640, 272, 250, "h264"),
        "skv_carphone_pristine.mp4": (176, 144, 120, "h264"),
        "tc_av1_video.mkv": (640, 360, 125, "av1"),
        "tc_h265_10bits.mp4": (200, 200, 30, "hevc"),
        "mpy_no_duration.webm": (1280, 720, 74, "vp9"),
    }
    for name, facts in expected.items():
        result = look(real_videos / name, LookSettings(), preview_folder=tmp_path)
        assert (result.width, result.height, result.num_frames, result.video_codec) == facts


def test_three_frames_make_no_window(
    made_video: Callable[[str, VideoSpec], Path], tmp_path: Path
) -> None:
    path = made_video("three.mp4", VideoSpec(seconds=0.12))
    settings = LookSettings(previews=PreviewSettings())
    result = look(path, settings, preview_folder=tmp_path / "previews")
    assert (result.num_frames, result.windows, result.preview_files) == (3, (), ())


@pytest.mark.parametrize(
    "name",
    [
        "decord_corrupted.mp4",
        "fate_h264_brokensps.mp4",
        "fate_h264_mov-3elist-encrypted.mp4",
        "fate_h264_white_zombie_scrunch-part.mp4",
        "fate_vp8_frame_size_change.mp4",
    ],
)
def test_bad_files_do_not_decode(real_videos: Path, tmp_path: Path, name: str) -> None:
    settings = LookSettings(motion=MotionSettings(), previews=PreviewSettings())
    with pytest.raises(MediaError, match=re.escape(name)) as caught:
        look(real_videos / "bad" / name, settings, preview_folder=tmp_path)
    assert caught.value.reason == "clip_does_not_decode"


def test_truncated_clip_does_not_decode(
    made_video: Callable[[str, VideoSpec], Path], tmp_path: Path
) -> None:
    spec = VideoSpec(seconds=2.0, container_options=(("movflags", "+faststart"),))
    data = made_video("whole.mp4", spec).read_bytes()
    short = tmp_path / "short.mp4"
    short.write_bytes(data[: len(data) * 9 // 10])
    with pytest.raises(MediaError, match=r"states 50 frames but holds only \d\d") as caught:
        look(short, LookSettings(), preview_folder=tmp_path)
    assert caught.value.reason == "clip_does_not_decode"


def test_damaged_picture_does_not_decode(
    made_video: Callable[[str, VideoSpec], Path], tmp_path: Path
) -> None:
    """The decoder raises nothing here: it conceals the damage and marks the frame."""
    path = made_video("noise.mp4", VideoSpec(seconds=1.0, noise=True))
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        position = packets[5].pos + packets[5].size // 2
    data = bytearray(path.read_bytes())
    data[position : position + 4] = bytes(byte ^ 0xFF for byte in data[position : position + 4])
    damaged = tmp_path / "damaged.mp4"
    damaged.write_bytes(data)
    with pytest.raises(MediaError, match=r"frame 5 of damaged.mp4") as caught:
        look(damaged, LookSettings(), preview_folder=tmp_path)
    assert caught.value.reason == "clip_does_not_decode"


def test_frame_count_insists_on_number_size_and_time() -> None:
    frame = av.VideoFrame(64, 48, "yuv420p")
    frame.pts = 0
    count = FrameCount(name="c.mp4", num_expected=2, size=(64, 48))
    count.observe(frame, 0)
    with pytest.raises(MediaError, match=r"c.mp4 holds 2 video packets, but 1 frames"):
        count.finish()
    count.observe(frame, 1)
    assert count.finish() == Findings()
    assert count.num_frames == 2
    with pytest.raises(MediaError, match="has 32x48 pixels, the file states 64x48"):
        count.observe(av.VideoFrame(32, 48, "yuv420p"), 2)
    with pytest.raises(MediaError, match="no presentation time"):
        count.observe(av.VideoFrame(64, 48, "yuv420p"), 2)


def test_text_and_sound_are_no_clips(tmp_path: Path) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("not a video\n" * 100)
    sound = tmp_path / "sound.mp4"
    with av.open(str(sound), "w") as out:
        stream = out.add_stream("aac", rate=48000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.sample_rate = 48000
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    for path, words in ((text, "cannot be read"), (sound, "no video stream")):
        with pytest.raises(MediaError, match=words) as caught:
            look(path, LookSettings(), preview_folder=tmp_path)
        assert caught.value.reason == "clip_does_not_decode"


def test_missing_file_is_no_media_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        look(tmp_path / "gone.mp4", LookSettings(), preview_folder=tmp_path)


def test_scores_do_not_depend_on_the_other_observers(real_videos: Path, tmp_path: Path) -> None:
    clip = real_videos / "tc_av1_video.mkv"
    alone = look(clip, LookSettings(motion=MotionSettings()), preview_folder=tmp_path)
    both = LookSettings(motion=MotionSettings(), previews=PreviewSettings())
    together = look(clip, both, preview_folder=tmp_path)
    assert together.scores == alone.scores
    assert together.preview_files == ("0_124.webp",)


def test_a_look_without_pixels_finds_what_one_with_pixels_finds(
    real_videos: Path, tmp_path: Path
) -> None:
    clip, motion = real_videos / "cosmos_test_clip_10s.mp4", MotionSettings()
    all_settings = (
        LookSettings(motion=motion),
        LookSettings(motion=motion, scores=("brightness",)),
    )
    results = [
        [look(clip, settings, preview_folder=tmp_path) for settings in all_settings]
        for _ in range(3)
    ]
    blind, seeing = results[0]
    assert blind.scores.keys() == {"motion_global_mean", "motion_per_patch_min_256"}
    assert blind.scores == {name: seeing.scores[name] for name in blind.scores}
    assert dataclasses.replace(blind, scores={}) == dataclasses.replace(seeing, scores={})
    # What is left out takes a third of decoding this clip.
    least = [
        min(result.seconds["decode"] for result in column) for column in zip(*results, strict=True)
    ]
    assert least[0] < 0.9 * least[1]


def test_settings_survive_json() -> None:
    settings = LookSettings(128, 64, MotionSettings(2.5, 0.25), PreviewSettings(2, 120))
    text = json.dumps(dataclasses.asdict(settings))
    assert from_plain(LookSettings, json.loads(text)) == settings
    assert from_plain(LookSettings, to_plain(LookSettings())) == LookSettings()
