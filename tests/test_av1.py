"""Clips in AV1 by SVT-AV1: the same frames, the same bytes, and no real-time processes."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from coded_video import Made, frame_times, keyframe_numbers, make_coded, read_codes
from ffmpeg_oracle import ffmpeg
from run_command import Curated
from trial_cut import stream_line, trial_cut

from beam_pipeline.cli import main
from transforms.errors import PreflightError
from transforms.media.clip_form import ClipForm
from transforms.media.encode import EncodeSettings, resolve_encoder
from transforms.media.trainer_options import check_encoder
from transforms.media.transcode_options import Transcode

X264 = ("-c:v", "libx264", "-preset", "veryfast", "-crf", "16", "-pix_fmt", "yuv420p", "-g", "12")
AV1 = resolve_encoder(Transcode(transcode_encoder="libsvtav1", transcode_crf=20))[0]
RATED = resolve_encoder(Transcode(transcode_encoder="libsvtav1"))[0]


def policies() -> set[int]:
    """Return the scheduling policies of all threads of this process."""
    return {os.sched_getscheduler(int(task.name)) for task in Path("/proc/self/task").glob("*")}


@pytest.mark.parametrize("settings", [AV1, RATED], ids=["crf", "bit rate"])
def test_frames_times_and_bytes(settings: EncodeSettings, tmp_path: Path) -> None:
    path = make_coded(tmp_path, Made("a.mp4", X264))
    bounds = (Fraction(0), Fraction(30, 25), None)
    first = trial_cut(path, tmp_path / "a", ClipForm(), bounds=bounds, encode=settings)
    again = trial_cut(path, tmp_path / "b", ClipForm(), bounds=bounds, encode=settings)
    for numbers, one, other in zip([range(30), range(30, 75)], first, again, strict=True):
        assert one.path
        assert other.path
        assert one.path.read_bytes() == other.path.read_bytes()
        assert read_codes(one.path) == list(numbers)
        assert frame_times(one.path) == [Fraction(n, 25) for n in range(len(numbers))]
        assert keyframe_numbers(one.path) == [0]
        assert "Video: av1" in stream_line(one.path)
    assert policies() == {os.SCHED_OTHER}


def test_keyframes_stand_at_windows_only(tmp_path: Path) -> None:
    made = Made("long.mp4", X264, num_frames=540, size=64, dips=20)
    path = make_coded(tmp_path, made)
    [result] = trial_cut(path, tmp_path / "a", ClipForm(), encode=AV1)
    assert result.path
    assert keyframe_numbers(result.path) == [0, 256]


def test_full_range_stays(tmp_path: Path) -> None:
    path = tmp_path / "full.mp4"
    size = "testsrc2=size=96x64:rate=25:duration=0.4"
    ffmpeg("-f", "lavfi", "-i", size, *X264[:-3], "yuvj420p", str(path))
    [result] = trial_cut(path, tmp_path / "a", ClipForm(), encode=AV1)
    assert result.path
    lumas = []
    for file in (path, result.path):
        with av.open(str(file)) as container:
            frame = next(container.decode(video=0))
            assert int(frame.color_range) == 2
            lumas.append(frame.to_ndarray()[:64].astype(int))
    assert np.abs(lumas[0] - lumas[1]).mean() < 3


def test_high_dynamic_range_needs_libx264() -> None:
    with pytest.raises(PreflightError, match="keep_hdr true: libsvtav1"):
        check_encoder(ClipForm(keep_hdr=True), AV1)


def test_a_run_of_av1(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    test = ("-f", "lavfi", "-i", "testsrc2=size=320x256:rate=25:duration=2")
    ffmpeg(*test, *X264, str(raw / "a.mp4"))
    run = Curated.below(tmp_path, raw)
    options = ("--transcode_encoder", "libsvtav1", "--motion_filter", "score-only")
    assert run.curate(*options, "--generate_previews", "--clip_frame_multiple", "8n+1") == 0
    [meta] = run.metas().values()
    assert (meta["video_codec"], meta["num_frames"]) == ("av1", 49)
    assert meta["motion_score"]["global_mean"] > 0
    assert main(["verify", str(run.out)]) == 0
    assert policies() == {os.SCHED_OTHER}
