"""Memory does not grow with the length of a video: whole runs, every process of them counted."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from benchmarks.process_tree import Cost, measure

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

FPS = 5
SIZE = (1920, 1080)
CLIP_SECONDS = 10
SHORT_SECONDS, LONG_SECONDS = 120, 1200
MB = 1_000_000


@dataclass(frozen=True)
class Measured:
    """A run of ``split`` with everything on that looks at frames."""

    cost: Cost
    num_frames: int
    num_decoded: int
    num_clips: int
    num_scored: int
    num_previews: int


def draw(path: Path, *, seconds: int) -> Path:
    """Draw a video with one keyframe: a band of texture that pans, quick to encode."""
    width, height = SIZE
    band = np.random.default_rng(0).integers(16, 235, (8, width // 32), dtype=np.uint8)
    band = np.kron(np.concatenate([band, band], axis=1), np.ones((32, 32), np.uint8))
    options = {"preset": "ultrafast", "x264-params": "keyint=infinite:scenecut=0"}
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=FPS, options=options)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.thread_count = 1
        stream.codec_context.time_base = Fraction(1, FPS)
        for number in range(seconds * FPS):
            frame = av.VideoFrame(width, height, "yuv420p")
            for plane in frame.planes:
                np.frombuffer(memoryview(plane), np.uint8)[:] = 128
            luma = np.frombuffer(memoryview(frame.planes[0]), np.uint8).reshape(height, -1)
            left = 8 * number % width
            luma[: len(band), :width] = band[:, left : left + width]
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def split(folder: Path, *, seconds: int) -> Measured:
    """Draw a video, split it in a process of its own with one child, and measure that."""
    (folder / "raw").mkdir(parents=True)
    (folder / "runtime").mkdir()
    draw(folder / "raw" / "video.mp4", seconds=seconds)
    command = [
        *(sys.executable, "-m", "beam_pipeline", "split"),
        *("--input_video_path", str(folder / "raw"), "--output_clip_path", str(folder / "out")),
        *(
            "--scratch_path",
            str(folder),
            "--splitting_algorithm",
            "fixed-stride",
            "--fixed_stride_split_duration",
            str(CLIP_SECONDS),
        ),
        *("--motion_filter", "score-only", "--generate_previews"),
    ]
    environment = {
        "BEAM_CURATE_SLOTS": "1",
        "XDG_RUNTIME_DIR": str(folder / "runtime"),  # no slots shared with other runs
        "PYTHONPATH": str(Path(__file__).resolve().parent.parent),
    }
    cost = measure(command, log=folder / "log.txt", environment=environment)
    out = folder / "out"
    metas = [json.loads(path.read_text()) for path in (out / "metas" / "v0").glob("*.json")]
    stats = json.loads((out / "performance_stats_0.json").read_text())
    return Measured(
        cost=cost,
        num_frames=seconds * FPS,
        num_decoded=stats["counters"]["frames_decoded"],
        num_clips=len(metas),
        num_scored=sum("motion_score" in meta for meta in metas),
        num_previews=sum(1 for _ in (out / "previews").rglob("*.webp")),
    )


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Measured:
    """Return a run on a video of two minutes, 12 clips."""
    return split(tmp_path_factory.mktemp("short"), seconds=SHORT_SECONDS)


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Measured:
    """Return a run on a video of twenty minutes, 120 clips."""
    return split(tmp_path_factory.mktemp("long"), seconds=LONG_SECONDS)


def test_what_is_measured_is_a_whole_run(short: Measured, long: Measured) -> None:
    for run, num_clips in ((short, 12), (long, 120)):
        assert (run.num_clips, run.num_scored, run.num_previews) == (num_clips,) * 3
        assert run.cost.most_processes == 2  # the program and its one child


def test_a_long_video_takes_no_more_memory_than_a_short_one(
    short: Measured, long: Measured
) -> None:
    assert long.cost.peak_bytes <= short.cost.peak_bytes + 100 * MB


def test_one_child_at_1080p_stays_below_the_ceiling(short: Measured, long: Measured) -> None:
    assert max(short.cost.peak_bytes, long.cost.peak_bytes) < 700 * MB


def test_the_program_keeps_nothing_per_clip(short: Measured, long: Measured) -> None:
    grown = long.cost.peak_own_bytes_of_root - short.cost.peak_own_bytes_of_root
    assert grown / (long.num_clips - short.num_clips) < 0.1 * MB


def test_a_single_keyframe_is_decoded_from_once(short: Measured, long: Measured) -> None:
    # Clips that each seek by themselves would decode 60 times as much.
    assert short.num_decoded <= 1.1 * short.num_frames
    assert long.num_decoded <= 1.1 * long.num_frames
