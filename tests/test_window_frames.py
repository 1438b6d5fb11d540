"""The frames that a caption model sees are those that the clip holds, whoever takes them out."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
from make_video import VideoSpec, make_video

from transforms.annotate.caption_requests import caption_requests
from transforms.annotate.caption_settings import CaptionSettings, EngineSpec
from transforms.media.clip_files import clip_path, frames_folder
from transforms.media.look import LookResult, LookSettings, look
from transforms.models.captions.engine import CaptionRequest, FramesFile
from transforms.models.captions.settings import TransformersSettings
from transforms.records import CaptionAnswer, Clip, ClipFile, ClipSource

SETTINGS = LookSettings(window_size=32, remainder_threshold=8, caption_fps=4.0)


def decoded(path: Path, size: tuple[int, int]) -> np.ndarray:
    """Return every frame as another program decodes and scales it."""
    command = [
        *(imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(path), "-fps_mode"),
        *("passthrough", "-vf", f"scale={size[0]}:{size[1]}:flags=bicubic+accurate_rnd+bitexact"),
        *("-f", "rawvideo", "-pix_fmt", "rgb24", "-"),
    ]
    raw = subprocess.run(command, check=True, capture_output=True).stdout
    return np.frombuffer(raw, np.uint8).reshape(-1, size[1], size[0], 3)


def looked(clip: Path, folder: Path, settings: LookSettings = SETTINGS) -> LookResult:
    return look(clip, settings, preview_folder=folder / "none", frames_folder=folder)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    spec = VideoSpec(seconds=2.8, size=(96, 64), b_frames=2)
    return make_video(tmp_path_factory.mktemp("frames") / "clip.mp4", spec)


def test_frames_equal_an_independent_decode(clip: Path, tmp_path: Path) -> None:
    # 70 frames at 25 per second: windows [0, 32) and [32, 70); 4 per second are seen.
    looked(clip, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0_31.npy", "32_69.npy"]
    # Each window: 2 * round(32 / 25 * 4 / 2) = 2 * round(38 / 25 * 4 / 2) = 6 frames.
    expected = {"0_31.npy": [0, 6, 12, 19, 25, 31], "32_69.npy": [32, 39, 47, 54, 62, 69]}
    for name, numbers in expected.items():
        seen = np.load(tmp_path / name)
        assert seen.dtype == np.uint8
        # 96x64 is enlarged to at least 128 * 28 * 28 pixels, sides multiples of 28.
        assert seen.shape == (6, 280, 392, 3)
        every = decoded(clip, (392, 280)).astype(int)
        assert len(every) == 70
        for picture, number in zip(seen, numbers, strict=True):
            distances = np.abs(every - picture).mean(axis=(1, 2, 3))
            assert distances.argmin() == number
            assert distances[number] < 1
            assert np.sort(distances)[1] > 4


def test_no_frames_are_kept_unless_a_model_sees_frames(clip: Path, tmp_path: Path) -> None:
    without = dataclasses.replace(SETTINGS, caption_fps=None)
    assert dataclasses.replace(looked(clip, tmp_path / "f", without), seconds={}) == (
        dataclasses.replace(looked(clip, tmp_path / "g"), seconds={})
    )
    assert not (tmp_path / "f").exists()
    assert (tmp_path / "g").exists()


def test_three_frames_make_no_window_and_thirty_four_pictures(tmp_path: Path) -> None:
    three = make_video(tmp_path / "three.mp4", VideoSpec(seconds=0.12, size=(64, 48)))
    assert looked(three, tmp_path / "three").windows == ()
    assert not (tmp_path / "three").exists()
    # Shorter than the fewest pictures a model is given: frames are shown twice.
    four = make_video(tmp_path / "four.mp4", VideoSpec(seconds=0.16, size=(64, 48)))
    looked(four, tmp_path / "four", dataclasses.replace(SETTINGS, caption_fps=100.0))
    seen = np.load(tmp_path / "four" / "0_3.npy")
    assert len(seen) == 16
    assert (seen[0] == seen[1]).all()
    assert not (seen[0] == seen[15]).all()


def test_an_odd_shape_is_looked_at_all_the_same(tmp_path: Path) -> None:
    narrow = make_video(tmp_path / "narrow.mp4", VideoSpec(seconds=1, size=(3200, 8)))
    assert len(looked(narrow, tmp_path / "n").windows) == 1
    assert not (tmp_path / "n").exists()
    [answer] = requests(narrow, tmp_path / "scratch")
    assert isinstance(answer, CaptionAnswer)
    assert (answer.status, answer.reason) == ("error", "exception")
    assert answer.message.startswith("3200x8: caption models see no pictures of which one side")


def requests(
    source: Path, scratch: Path, *, with_frames: bool = False
) -> tuple[CaptionRequest | CaptionAnswer, ...]:
    """Return what is asked about a clip whose frames are, or are not, in scratch."""
    path = clip_path(scratch, "c")
    path.parent.mkdir(parents=True)
    shutil.copyfile(source, path)
    folder = frames_folder(scratch, "c")
    found = looked(path, folder)
    if not with_frames and folder.exists():
        shutil.rmtree(folder)
    file = ClipFile(
        num_bytes=found.num_bytes,
        sha256=found.sha256,
        width=found.width,
        height=found.height,
        framerate=found.framerate,
        num_frames=found.num_frames,
        video_codec=found.video_codec,
        source_span_pts=(0, 1),
        made_by="encode",
        windows=found.windows,
    )
    source_of_it = ClipSource("/raw/a.mp4", 0.0)
    clip = Clip("c", "", "a.mp4", 0, 0, file=file, scratch=str(scratch), source=source_of_it)
    spec = EngineSpec("transformers", TransformersSettings("m", "/m", ""))
    if path.stat().st_size and source.suffix == ".damaged":
        path.write_bytes(path.read_bytes()[:300])
    return caption_requests(clip, CaptionSettings(spec, "{num_frames}?", 4.0), "/nowhere")


def test_frames_that_are_missing_are_taken_out_again_and_are_the_same(
    clip: Path, tmp_path: Path
) -> None:
    kept = requests(clip, tmp_path / "kept", with_frames=True)
    healed = requests(clip, tmp_path / "healed")
    for one, other in zip(kept, healed, strict=True):
        assert isinstance(one, CaptionRequest)
        assert isinstance(other, CaptionRequest)
        assert isinstance(one.frames, FramesFile)
        assert isinstance(other.frames, FramesFile)
        assert Path(one.frames.path).read_bytes() == Path(other.frames.path).read_bytes()
        assert (one.prompt, one.frames.numbers) == (other.prompt, other.frames.numbers)
    first = kept[0]
    assert isinstance(first, CaptionRequest)
    assert first.prompt == "32?"
    assert first.mp4_path is None
    assert first.frames is not None
    assert first.frames.numbers == (0, 6, 12, 19, 25, 31)
    assert first.frames.fps == 25.0


def test_a_clip_that_does_not_decode_any_more_has_failed_captions(
    clip: Path, tmp_path: Path
) -> None:
    damaged = shutil.copyfile(clip, tmp_path / "clip.damaged")
    answers = requests(damaged, tmp_path / "scratch")
    assert len(answers) == 2
    for answer in answers:
        assert isinstance(answer, CaptionAnswer)
        assert (answer.status, answer.reason) == ("error", "exception")
        assert answer.message.startswith("the clip c.mp4 fails to decode")
