"""Plan: clips as the run will make them, bytes and seconds within twice, and nothing written."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest
from make_video import VideoSpec

from beam_pipeline.cli import main
from beam_pipeline.estimate.calibration import Calibration, Rate, makespan, representatives
from beam_pipeline.estimate.network_cost import NetworkCost
from beam_pipeline.estimate.prediction import (
    Actual,
    Prediction,
    predict,
    predicted_vs_actual,
    with_detection,
)
from transforms.clips.chunking import Chunking
from transforms.media.probe import probe
from transforms.records import ProbedVideo, SplitVideo, Video
from transforms.shots.fixed_stride import split_fixed_stride
from transforms.shots.splitting import Splitting

Capture = pytest.CaptureFixture[str]
MakeVideo = Callable[[str, VideoSpec], Path]
# 12 s and 7 s at a stride of 5 s: 5 5 2 and 5 2; the least length is 2 s.
LONG = VideoSpec(seconds=12, size=(640, 360))
SHORT = VideoSpec(seconds=7, size=(320, 192), codec="mpeg4")
STRIDE = ("--splitting_algorithm", "fixed_stride", "--fixed_stride_split_duration", "5")


@pytest.fixture
def raw(made_video: MakeVideo, tmp_path: Path) -> Path:
    folder = tmp_path / "raw"
    folder.mkdir()
    shutil.copy(made_video("long.mp4", LONG), folder / "long.mp4")
    shutil.copy(made_video("short.avi", SHORT), folder / "short.avi")
    (folder / "broken.mp4").write_text("this is no video")
    (folder / "notes.txt").write_text("this is none either")
    return folder


def tree(folder: Path) -> dict[str, int]:
    return {
        str(path.relative_to(folder)): path.stat().st_mtime_ns
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def number_in(text: str, name: str) -> float:
    found = re.search(rf"^  {name} +(?:about )?([\d.:]+)(?: ([kMG]B))?", text, re.MULTILINE)
    assert found, f"{name} is not in:\n{text}"
    if ":" in found[1]:
        hours, minutes, seconds = found[1].split(":")
        return int(hours) * 3600 + int(minutes) * 60 + int(seconds)
    return float(found[1]) * {"kB": 1e3, "MB": 1e6, "GB": 1e9, None: 1}[found[2]]


@pytest.mark.parametrize("form", [("plan", "split"), ("split", "--dry_run")])
def test_plan_says_what_is_there_and_writes_nothing(
    form: tuple[str, ...], raw: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    before = tree(tmp_path)
    paths = ("--input_video_path", str(raw), "--output_clip_path", str(out))
    assert main([*form, *paths, *STRIDE]) == 0
    said = capsys.readouterr().out
    assert tree(tmp_path) == before
    assert not out.exists()
    assert "3 videos, 1 other files left out" in said
    assert "to do       2 videos, 0.005 hours" in said
    assert "codecs      h264 1, mpeg4 1" in said
    assert "sizes       320x192 1, 640x360 1" in said
    assert re.search(r"fail +1\n +broken.mp4: not_media", said)
    assert number_in(said, "clips") == 5


def test_prediction_is_near_what_the_run_makes_and_takes(
    raw: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Other work on the machine comes and goes between a plan and its run. Such a pair says nothing
    # about the prediction, so another one is made; a wrong prediction is wrong every time.
    times = []
    for attempt in range(3):
        out = tmp_path / f"out-{attempt}"
        line = [
            "split",
            *("--input_video_path", str(raw), "--output_clip_path", str(out)),
            *STRIDE,
            "--motion_filter=score-only",
        ]
        assert main(["plan", *line]) == 0
        predicted = capsys.readouterr().out
        started_at = time.monotonic()
        assert main(line) == 1  # one of three videos is broken: more than the allowed share
        seconds = time.monotonic() - started_at
        clips = list((out / "clips").glob("*.mp4"))
        num_bytes = sum(clip.stat().st_size for clip in clips)
        assert number_in(predicted, "clips") == len(clips)
        assert num_bytes / 2 <= number_in(predicted, "clip data") <= num_bytes * 2
        times.append((number_in(predicted, "time"), seconds))
        # Whole seconds are printed.
        if seconds / 2 - 3 <= times[-1][0] <= seconds * 2 + 3:
            break
    else:
        pytest.fail(f"predicted and taken, three times: {times}")

    capsys.readouterr()
    before = tree(out)
    assert main(["plan", *line]) == 0
    said = capsys.readouterr().out
    assert "done        2" in said
    assert "to do       0 videos" in said
    assert tree(out) == before


def test_clips_of_finished_chunks_are_not_planned_again(
    raw: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    paths = ("--input_video_path", str(raw), "--output_clip_path", str(out))
    line = ["split", *paths, *STRIDE, "--clip_re_chunk_size", "1", "--max_failed_share", "1"]
    assert main(line) == 3
    # As after a kill: one of the chunks of long.mp4 is not committed.
    record = out / "processed_clip_chunks" / "long.mp4_1.json"
    num_clips = len(json.loads(record.read_text())["clips"])
    record.unlink()
    capsys.readouterr()
    assert main(["plan", *line]) == 0
    said = capsys.readouterr().out
    assert "to do       1 videos" in said
    assert number_in(said, "clips") == num_clips == 1


def test_plan_of_shard_counts_samples(
    raw: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, dataset = tmp_path / "out", tmp_path / "webdataset"
    paths = ("--input_video_path", str(raw), "--output_clip_path", str(out))
    assert main(["split", *paths, *STRIDE, "--max_failed_share", "1"]) == 3
    capsys.readouterr()
    shard = ("--input_clip_path", str(out), "--output_dataset_path", str(dataset))
    assert main(["plan", "shard", *shard]) == 0
    said = capsys.readouterr().out
    assert number_in(said, "clips") == 5
    assert number_in(said, "samples") == 5
    num_bytes = sum(clip.stat().st_size for clip in (out / "clips").glob("*.mp4"))
    assert number_in(said, "shard data") == pytest.approx(num_bytes, rel=0.01)
    assert not dataset.exists()


def test_missing_input_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = (
        "--input_video_path",
        str(tmp_path / "none"),
        "--output_clip_path",
        str(tmp_path / "o"),
    )
    assert main(["plan", "split", *paths]) == 1
    assert "no such file or folder" in capsys.readouterr().err


def probed(path: Path) -> ProbedVideo:
    num_bytes = path.stat().st_size
    facts = probe(str(path), name=path.name, num_bytes=num_bytes)
    return ProbedVideo(Video(str(path), path.name, str(path), num_bytes), facts)


def split_at(path: Path, seconds: float) -> SplitVideo:
    return split_fixed_stride(probed(path), Splitting(fixed_stride_split_duration=seconds))


def test_predict_adds_up_frames_pixels_and_bytes(made_video: MakeVideo) -> None:
    # 300 frames of 640 x 360; measured at 320 x 180, a quarter of the pixels.
    split = split_at(made_video("long.mp4", LONG), 5)
    rate = Rate("h264", 320 * 180, 0.001, 0.0005, bytes_per_second=1000.0)
    calibration = Calibration((rate,), start_seconds=1.0, slowdown=2.0, num_children=2)
    prediction = predict(
        [split],
        calibration=calibration,
        chunking=Chunking(),
        may_pass_through=True,
        fixed_seconds=3.0,
    )
    assert (prediction.num_videos, prediction.num_clips) == (1, 3)
    assert prediction.num_bytes == pytest.approx(12_000)
    assert prediction.seconds == pytest.approx(3.0 + 1.0 + 300 * 0.0015 * 4 * 2.0)


def test_predict_knows_files_that_pass_through(made_video: MakeVideo) -> None:
    path = made_video("long.mp4", LONG)
    split = split_at(path, 100)
    rate = Rate("h264", 640 * 360, 0.001, 0.0005, bytes_per_second=1000.0)
    calibration = Calibration((rate,), start_seconds=0.0, slowdown=1.0, num_children=1)
    found = {
        may: predict(
            [split],
            calibration=calibration,
            chunking=Chunking(),
            may_pass_through=may,
            fixed_seconds=0.0,
        )
        for may in (True, False)
    }
    assert found[True].num_bytes == path.stat().st_size
    assert found[True].seconds == pytest.approx(300 * 0.0005)
    assert found[False].num_bytes == pytest.approx(12_000)
    assert found[False].seconds == pytest.approx(300 * 0.0015)


def test_nothing_measured_is_unknown_not_zero(made_video: MakeVideo) -> None:
    split = split_at(made_video("long.mp4", LONG), 5)
    prediction = predict(
        [split],
        calibration=Calibration((), 0.0, 1.0, 2),
        chunking=Chunking(),
        may_pass_through=False,
        fixed_seconds=3.0,
    )
    assert (prediction.num_clips, prediction.num_bytes, prediction.seconds) == (3, None, None)
    actual = Actual(num_videos=1, num_clips=3, num_bytes=1e6, seconds=9.0)
    assert predicted_vs_actual(prediction, actual)[-1] == "time          unknown    0:00:09"


def test_parts_with_one_keyframe_are_cut_one_after_the_other(made_video: MakeVideo) -> None:
    # Chunks of 8 s: a video with keyframes is two runs for two children, else one for one.
    rate = Rate("h264", 160 * 96, 0.01, 0.0, bytes_per_second=1.0)
    seconds = {}
    for every in (25, 0):
        spec = VideoSpec(seconds=16, keyframe_every=every)
        split = split_at(made_video(f"every{every}.mp4", spec), 4)
        prediction = predict(
            [split],
            calibration=Calibration((rate,), 0.0, 1.0, num_children=2),
            chunking=Chunking(clip_re_chunk_size=1),
            may_pass_through=False,
            fixed_seconds=0.0,
        )
        seconds[every] = prediction.seconds
    assert seconds == {25: pytest.approx(2.0), 0: pytest.approx(4.0)}


def test_samples_are_taken_of_what_there_is_most_of(made_video: MakeVideo) -> None:
    long, short = made_video("long.mp4", LONG), made_video("short.avi", SHORT)
    other = made_video("other.mp4", VideoSpec(seconds=2, size=(640, 360)))
    found = representatives([probed(short), probed(other), probed(long)])
    assert [video.video.rel for video in found] == ["long.mp4", "short.avi"]


def test_makespan_of_nothing_and_of_more_workers_than_jobs() -> None:
    assert makespan([], 2) == 0.0
    assert makespan([3.0], 4) == 3.0
    assert makespan([float(Fraction(1, 2))] * 4, 2) == 1.0


NETWORK = NetworkCost(start_seconds=5, round_seconds=1.25, windows_per_round=2)


@pytest.mark.parametrize("network", [None, NETWORK])
def test_finding_shots_is_predicted_and_clips_are_not(
    made_video: MakeVideo, network: NetworkCost | None
) -> None:
    split = split_at(made_video("long.mp4", LONG), 5)
    rate = Rate("h264", 640 * 360, 0.02, 0.01, bytes_per_second=1000.0)
    calibration = Calibration((rate,), start_seconds=0.5, slowdown=1.5, num_children=2)
    cutting = Prediction(1, 3, 5000.0, 10.0)

    def with_shots(
        cutting: Prediction, splits: list[SplitVideo], calibration: Calibration
    ) -> Prediction:
        return with_detection(
            cutting, splits, calibration=calibration, network=network, windows_per_segment=5
        )

    found = with_shots(cutting, [split], calibration)
    # 300 frames; their six windows in segments of five and of one, two at once: four rounds.
    expected = 10 + 300 * 0.01 * 1.5 / 2 + (5 + 4 * 1.25 if network else 0)
    assert found.num_clips is None
    assert found.num_bytes == 5000
    assert found.seconds == pytest.approx(expected)
    assert with_shots(cutting, [], calibration) == cutting
    nothing = Calibration((), 0.0, 1.0, 2)
    unknown = Prediction(1, 3, None, None)
    found = with_shots(unknown, [split], nothing)
    assert (found.num_clips, found.seconds) == (None, None)


def test_plan_with_shots_to_be_found(raw: Path, tmp_path: Path, capsys: Capture) -> None:
    paths = ["--input_video_path", str(raw), "--output_clip_path", str(tmp_path / "out")]
    assert main(["plan", "split", *paths, "--splitting_algorithm", "content"]) == 0
    told = capsys.readouterr().out
    assert "shots       to be found in 2 videos first" in told
    assert "clips       unknown" in told
    assert re.search(r"clip data   about [\d.]+ [kM]B", told)
    assert re.search(r"time        about \d+:\d\d:\d\d", told)
    assert not (tmp_path / "out").exists()
    assert main(["split", *paths, "--splitting_algorithm", "content"]) == 1, "one is no video"
    told = capsys.readouterr().out
    assert re.search(r"clips +unknown +\d", told)
