"""Memory of detecting shots does not grow with the length of a video: whole runs are measured."""

from __future__ import annotations

import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from benchmarks.process_tree import Cost, measure

pytestmark = [pytest.mark.slow]

SIZE = (96, 64)
SHOT_FRAMES = 500
SHORT_FRAMES, LONG_FRAMES = 4_000, 40_000
MB = 1_000_000


def draw(path: Path, *, num_frames: int) -> None:
    """Draw shots of one brightness each, quick to encode."""
    path.parent.mkdir(parents=True)
    options = {"preset": "ultrafast", "x264-params": "keyint=250:scenecut=0"}
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25, options=options)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        stream.codec_context.thread_count = 1
        frame = av.VideoFrame(*SIZE, "yuv420p")
        for number in range(num_frames):
            if number % SHOT_FRAMES == 0:
                frame = av.VideoFrame(*SIZE, "yuv420p")
                for plane in frame.planes:
                    np.frombuffer(memoryview(plane), np.uint8)[:] = 60 + number // 5 % 150
            frame.pts, frame.time_base = number, Fraction(1, 25)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))


def detect(folder: Path, *, num_frames: int) -> tuple[Cost, int]:
    """Split a video of so many frames with one child; return what it cost and how many clips."""
    draw(folder / "raw" / "video.mp4", num_frames=num_frames)
    (folder / "runtime").mkdir()
    command = [
        *(sys.executable, "-m", "beam_pipeline", "split", "--splitting_algorithm", "content"),
        *("--input_video_path", str(folder / "raw"), "--output_clip_path", str(folder / "out")),
        # Few clips of the same number for both: what cutting takes is measured elsewhere.
        *("--scratch_path", str(folder), "--limit_clips", "4", "--no-predict"),
    ]
    environment = {
        "BEAM_CURATE_SLOTS": "1",
        "XDG_RUNTIME_DIR": str(folder / "runtime"),  # no slots shared with other runs
        "PYTHONPATH": str(Path(__file__).resolve().parent.parent),
    }
    cost = measure(command, log=folder / "log.txt", environment=environment)
    return cost, len(list((folder / "out" / ".work" / "shots").rglob("*.npz")))


def test_ten_times_the_frames_take_no_more_memory(tmp_path: Path) -> None:
    short, num_short = detect(tmp_path / "short", num_frames=SHORT_FRAMES)
    long, num_long = detect(tmp_path / "long", num_frames=LONG_FRAMES)
    assert (num_short, num_long) == (2, 20)
    # The small frames of the longer video are 156 MB.
    assert long.peak_bytes <= short.peak_bytes + 40 * MB
    grown = long.peak_own_bytes_of_root - short.peak_own_bytes_of_root
    assert grown <= 20 * MB
    assert max(short.most_processes, long.most_processes) <= 3
