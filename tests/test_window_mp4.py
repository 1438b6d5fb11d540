"""Windows as mp4s: exactly the clip's frames, by the judgement of another program."""

from __future__ import annotations

import dataclasses
import hashlib
import subprocess
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np
import pytest
from make_video import VideoSpec

from transforms.errors import MediaError
from transforms.shards.window_mp4 import write_window

WINDOW = VideoSpec(seconds=2.0, keyframe_every=16, b_frames=2)
"""50 frames, keyframes at the starts of windows of 16 frames and nowhere else."""


def frame_hashes(path: Path) -> list[str]:
    """Return a hash of every shown frame, by FFmpeg's own program."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(path), "-map", "0:v"]
    output = subprocess.run(
        [*command, "-fps_mode", "passthrough", "-f", "framemd5", "-"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return [line.split(",")[-1].strip() for line in output.splitlines() if line[:1] not in "#"]


def pictures(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="gray") for frame in container.decode(video=0)])


def seconds(path: Path) -> list[float]:
    with av.open(str(path)) as container:
        return [float(frame.pts * frame.time_base) for frame in container.decode(video=0)]


@pytest.mark.parametrize("window", [(0, 16), (16, 32), (32, 50)])
@pytest.mark.parametrize("b_frames", [0, 2])
def test_packets_are_copied_frame_for_frame(made_video, tmp_path, window, b_frames):
    clip = made_video("clip.mp4", dataclasses.replace(WINDOW, b_frames=b_frames))
    target = tmp_path / "window.mp4"
    written = write_window(clip, *window, target=target)
    assert written.reencoded is None
    assert written.num_bytes == target.stat().st_size
    assert frame_hashes(target) == frame_hashes(clip)[slice(*window)]
    assert seconds(target) == pytest.approx([index / 25 for index in range(window[1] - window[0])])


def test_times_of_a_clip_with_variable_frame_rate_are_kept(made_video, tmp_path):
    clip = made_video("clip.mp4", dataclasses.replace(WINDOW, frame_ticks=(40, 20, 70)))
    target = tmp_path / "window.mp4"
    assert write_window(clip, 16, 32, target=target).reencoded is None
    expected = np.array(seconds(clip)[16:32])
    assert seconds(target) == pytest.approx(list(expected - expected[0]), abs=1e-9)


@pytest.mark.parametrize(
    ("spec", "window", "reason"),
    [
        (dataclasses.replace(WINDOW, keyframe_every=0), (16, 32), "no_keyframe_at_start"),
        (WINDOW, (8, 24), "no_keyframe_at_start"),
        (dataclasses.replace(WINDOW, codec="libx265"), (16, 32), "not_h264"),
    ],
)
def test_without_a_fitting_keyframe_the_window_is_encoded_anew(
    made_video, tmp_path, spec, window, reason
):
    if spec.codec == "libx265":
        options = (("x265-params", "log-level=none:open-gop=0:scenecut=0:keyint=16:min-keyint=16"),)
        spec = dataclasses.replace(spec, encoder_options=options, b_frames=0)
    clip = made_video("clip.mp4", spec)
    target = tmp_path / "window.mp4"
    assert write_window(clip, *window, target=target).reencoded == reason
    source, found = pictures(clip).astype(int), pictures(target).astype(int)
    assert len(found) == len(frame_hashes(target)) == window[1] - window[0]
    distance = np.abs(found[:, None] - source[None]).mean(axis=(2, 3))
    # Each frame is nearer to its own source frame than to any other: no shift by one.
    assert distance.argmin(axis=1).tolist() == list(range(*window))
    assert distance.min(axis=1).max() < 2.0


def test_a_window_whose_end_lies_between_reordered_frames_is_encoded_anew(made_video, tmp_path):
    # B-frames in front of frame 8 come behind it in the file: copying would take a frame too many.
    clip = made_video("clip.mp4", WINDOW)
    ends = range(2, 16)
    reasons = {
        end: write_window(clip, 0, end, target=tmp_path / f"{end}.mp4").reencoded for end in ends
    }
    assert set(reasons.values()) == {None, "frames_out_of_window"}
    for end, reason in reasons.items():
        found = frame_hashes(tmp_path / f"{end}.mp4")
        assert len(found) == end
        if reason is None:
            assert found == frame_hashes(clip)[:end]


def test_an_open_gop_is_not_copied(made_video, tmp_path):
    # Its first B-frames are shown before the keyframe and need a picture of the window before.
    options = "cpu-independent=1:keyint=16:min-keyint=16:scenecut=0:open-gop=1:b-adapt=0"
    spec = dataclasses.replace(
        WINDOW, keyframe_every=0, b_frames=3, encoder_options=(("x264-params", options),)
    )
    clip = made_video("clip.mp4", spec)
    target = tmp_path / "window.mp4"
    assert write_window(clip, 16, 32, target=target).reencoded == "frames_out_of_window"
    assert len(frame_hashes(target)) == 16


def test_the_same_window_gives_the_same_bytes(made_video, tmp_path):
    for number, spec in enumerate([WINDOW, dataclasses.replace(WINDOW, keyframe_every=0)]):
        clip = made_video("clip.mp4", spec)
        hashes = set()
        for repeat in range(3):
            target = tmp_path / f"{number}-{repeat}.mp4"
            write_window(clip, 16, 32, target=target)
            hashes.add(hashlib.sha256(target.read_bytes()).hexdigest())
        assert len(hashes) == 1


def test_sound_is_left_out(made_video, tmp_path):
    clip = made_video("clip.mp4", dataclasses.replace(WINDOW, audio="aac"))
    target = tmp_path / "window.mp4"
    write_window(clip, 16, 32, target=target)
    with av.open(str(target)) as container:
        assert [stream.type for stream in container.streams] == ["video"]


@pytest.mark.parametrize("window", [(48, 51), (-1, 4), (4, 4)])
def test_a_window_that_the_clip_does_not_have_is_an_error(made_video, tmp_path, window):
    clip = made_video("clip.mp4", WINDOW)
    with pytest.raises(MediaError, match="the clip has 50") as caught:
        write_window(clip, *window, target=tmp_path / "window.mp4")
    assert caught.value.reason == "window_not_in_clip"


def test_a_file_that_is_no_video_is_an_error(tmp_path):
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(b"not a video at all" * 100)
    with pytest.raises(MediaError) as caught:
        write_window(clip, 0, 4, target=tmp_path / "window.mp4")
    assert caught.value.reason == "clip_does_not_decode"


def test_windows_of_a_real_file_are_copied_frame_for_frame(real_videos, tmp_path):
    clip = real_videos / "synth_cuts_gt.mp4"
    target = tmp_path / "window.mp4"
    assert write_window(clip, 0, 50, target=target).reencoded is None
    assert frame_hashes(target) == frame_hashes(clip)[:50]
