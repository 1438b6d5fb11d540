"""The look at a finished clip: facts, windows, previews, and what it refuses."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import re
import subprocess
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np
import pytest
from flat_clip import flat_clip, grey_levels
from make_video import VideoSpec
from PIL import Image

from transforms.annotate.previews import Previews
from transforms.errors import MediaError
from transforms.media.json_records import from_plain, to_plain
from transforms.media.look import LookSettings, MotionSettings, PreviewSettings, look
from transforms.media.observers.frame_count import FrameCount
from transforms.media.observers.observer import Findings
from transforms.media.observers.preview_frames import preview_size
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


def preview_levels(path: Path, levels: Sequence[int]) -> list[int]:
    """Return for each picture of a WebP which of the grey levels its upper half shows."""
    numbers = []
    with Image.open(path) as image:
        for picture in range(getattr(image, "n_frames", 1)):
            image.seek(picture)
            pixels = np.asarray(image.convert("L"), dtype=float)
            level = pixels[: pixels.shape[0] // 4].mean()
            numbers.append(int(np.argmin(np.abs(np.array(levels) - level))))
    return numbers


def nearest_frames(pts_seconds: Sequence[Fraction], fps: int) -> list[int]:
    """Return upstream's sampling by brute force: the nearest frame of each grid point."""
    step = Fraction(1, fps)
    point, chosen = pts_seconds[0], []
    while point < pts_seconds[-1] + step / 2:
        distances = [abs(time - point) for time in pts_seconds]
        chosen.append(distances.index(min(distances)))
        point += step
    return chosen


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


# Milliseconds between frames: constant, variable, slower than the previews, on grid midpoints.
TIMINGS = {
    "25 fps": ([40], 100, 1),
    "variable": ([10, 70, 300, 41, 15], 100, 1),
    "one frame in 2.3 s": ([2300], 8, 1),
    "half seconds": ([500], 21, 1),
    "three per second": ([40], 60, 3),
}


@pytest.mark.parametrize("timing", TIMINGS)
def test_previews_show_the_nearest_frames(tmp_path: Path, timing: str) -> None:
    steps, count, fps = TIMINGS[timing]
    pts = [sum(steps[k % len(steps)] for k in range(number)) for number in range(count)]
    colors = grey_levels(count)
    clip = flat_clip(tmp_path / "clip.mp4", colors, pts=pts)
    size = count // 2 + 1
    settings = LookSettings(
        window_size=size, remainder_threshold=2, previews=PreviewSettings(fps, target_height=32)
    )
    result = look(clip, settings, preview_folder=tmp_path / "previews")
    assert result.preview_files == (f"0_{size - 1}.webp", f"{size}_{count - 1}.webp")
    seconds = [Fraction(time, 1000) for time in pts]
    levels = [color[0] for color in colors]
    for name, first, end in zip(result.preview_files, (0, size), (size, count), strict=True):
        expected = [first + number for number in nearest_frames(seconds[first:end], fps)]
        assert preview_levels(tmp_path / "previews" / name, levels) == expected


def test_previews_are_small_loops_of_the_documented_form(tmp_path: Path) -> None:
    clip = flat_clip(
        tmp_path / "clip.mp4",
        grey_levels(60),
        size=(176, 144),
        sample_aspect_ratio=Fraction(128, 117),
    )
    settings = LookSettings(previews=PreviewSettings())
    result = look(clip, settings, preview_folder=tmp_path / "a")
    assert result.preview_files == ("0_59.webp",)
    data = (tmp_path / "a" / "0_59.webp").read_bytes()
    assert (data[:4], data[8:16]) == (b"RIFF", b"WEBPVP8X")
    assert b"VP8L" not in data  # lossless pictures
    with Image.open(tmp_path / "a" / "0_59.webp") as image:
        assert image.size == (320, 240)  # 176 * 128 / 117 : 144 = 4 : 3
        assert image.info["loop"] == 0
        durations = []
        for picture in range(image.n_frames):
            image.seek(picture)
            image.load()
            durations.append(image.info["duration"])
    assert durations == [1000, 1000, 1000]


def test_previews_keep_colours(tmp_path: Path) -> None:
    colors = [(200, 60, 40)] * 8
    clip = flat_clip(tmp_path / "clip.mp4", colors, size=(320, 240))
    look(clip, LookSettings(previews=PreviewSettings()), preview_folder=tmp_path)
    with Image.open(tmp_path / "0_7.webp") as image:
        red, green, blue = image.convert("RGB").getpixel((160, 60))
    assert abs(red - 200) <= 6
    assert abs(green - 60) <= 6
    assert abs(blue - 40) <= 6


def test_previews_have_the_same_bytes_again(real_videos: Path, tmp_path: Path) -> None:
    settings = LookSettings(previews=PreviewSettings())
    names = [
        look(
            real_videos / "synth_cuts_gt.mp4", settings, preview_folder=tmp_path / part
        ).preview_files
        for part in ("a", "b")
    ]
    assert names == [("0_255.webp", "256_565.webp")] * 2
    for name in names[0]:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize(
    ("width", "height", "ratio", "expected"),
    [
        (1920, 1080, None, (426, 240)),
        (720, 1280, None, (136, 240)),
        (854, 480, Fraction(1), (428, 240)),
        (720, 576, Fraction(16, 15), (320, 240)),
        (8, 4000, None, (2, 240)),
    ],
)
def test_preview_sizes(
    width: int, height: int, ratio: Fraction | None, expected: tuple[int, int]
) -> None:
    size = preview_size(width, height, sample_aspect_ratio=ratio, target_height=240)
    assert size == expected


def test_scores_do_not_depend_on_the_other_observers(real_videos: Path, tmp_path: Path) -> None:
    clip = real_videos / "tc_av1_video.mkv"
    alone = look(clip, LookSettings(motion=MotionSettings()), preview_folder=tmp_path)
    both = LookSettings(motion=MotionSettings(), previews=PreviewSettings())
    together = look(clip, both, preview_folder=tmp_path)
    assert together.scores == alone.scores
    assert together.preview_files == ("0_124.webp",)


def test_settings_survive_json() -> None:
    settings = LookSettings(128, 64, MotionSettings(2.5, 0.25), PreviewSettings(2, 120))
    text = json.dumps(dataclasses.asdict(settings))
    assert from_plain(LookSettings, json.loads(text)) == settings
    assert from_plain(LookSettings, to_plain(LookSettings())) == LookSettings()


def test_preview_options_are_upstreams_and_the_settings_defaults() -> None:
    assert Previews().model_dump() == {
        "generate_previews": False,
        "preview_target_fps": 1,
        "preview_target_height": 240,
    }
    assert dataclasses.asdict(PreviewSettings()) == {"target_fps": 1, "target_height": 240}
