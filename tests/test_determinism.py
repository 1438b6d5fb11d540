"""Same bytes however busy the machine is, and two children at work at once."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from transforms.sample import RECIPES, draw_video

ROOT = Path(__file__).resolve().parent.parent
CUT = """
import hashlib, sys, tempfile
from fractions import Fraction
from pathlib import Path
from transforms.media.cut import CutSpan, cut_run
from transforms.media.decode import DecodeCounters
from transforms.media.encode import resolve_encoder
from transforms.media.packet_index import build_packet_index
from transforms.media.probe import probe
from transforms.media.transcode_options import Transcode

spans = [CutSpan("a", Fraction(1, 2), Fraction(2)), CutSpan("b", Fraction(2), None)]
for path in map(Path, sys.argv[1:]):
    facts = probe(str(path), name=path.name, num_bytes=path.stat().st_size)
    with tempfile.TemporaryDirectory() as folder:
        results = cut_run(
            path,
            facts,
            build_packet_index(str(path), facts),
            spans,
            settings=resolve_encoder(Transcode())[0],
            folder=Path(folder),
            windows=(256, 128),
            counters=DecodeCounters(),
        )
        for result in results:
            print(result.num_frames, hashlib.sha256(result.path.read_bytes()).hexdigest())
"""
# Yields, because under a real-time policy a loop that never does would let nobody else run.
BUSY = "import os\nwhile True: sum(range(100_000)), os.sched_yield()"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a moving video whose sound is copied, and one whose is encoded."""
    folder = tmp_path_factory.mktemp("raw")
    for recipe in RECIPES:
        if recipe.name in ("landscape", "web"):
            path = folder / f"{recipe.name}.{recipe.container}"
            draw_video(path, replace(recipe, size=(320, 180)), seconds=3, seed=4)
    return folder


@contextlib.contextmanager
def busy_machine(num_processes: int) -> Iterator[None]:
    """Keep processes busy that do nothing useful."""
    busy = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(num_processes)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def test_eight_repeats_of_a_cut_under_load_give_one_hash(folder: Path) -> None:
    command = [sys.executable, "-c", CUT, str(folder / "landscape.mp4"), str(folder / "web.webm")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    printed = []
    with busy_machine(2):
        for _ in range(4):
            pair = [
                subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
                for _ in range(2)
            ]
            printed += [process.communicate()[0] for process in pair]
    assert len(printed) == 8
    assert len(set(printed)) == 1
    # 24 frames per second, and 25: the first clips are frames 12 to 47 and 13 to 49.
    counts = [int(line.split(" ")[0]) for line in printed[0].splitlines()]
    assert counts == [36, 24, 37, 25]


def test_curate_in_memory_has_two_children_at_work_at_once(folder: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "beam_pipeline", "curate", "--runner=DirectRunner"]
    command += ["--input_video_path", str(folder), "--output_clip_path", str(tmp_path / "out")]
    command += [
        "--splitting_algorithm",
        "fixed-stride",
        "--fixed_stride_split_duration",
        "2",
        "--transcode_preset",
        "medium",
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "BEAM_CURATE_SLOTS": "2"}
    # Locks of its own: other runs on this machine must not take its slots.
    (tmp_path / "runtime").mkdir()
    environment["XDG_RUNTIME_DIR"] = str(tmp_path / "runtime")
    run = subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=subprocess.DEVNULL)
    most_alive, together, before = 0, 0, {}
    while run.poll() is None:
        now = children_of(run.pid)
        most_alive = max(most_alive, len(now))
        together += sum(seconds > before.get(pid, seconds) for pid, seconds in now.items()) >= 2
        before = now
        time.sleep(0.2)
    assert run.returncode == 0
    assert most_alive == 2
    # Both used the processor between one glance and the next, beyond what starting takes.
    assert together >= 2


def children_of(parent: int) -> dict[int, float]:
    """Return the processor seconds of each media child that ``parent`` started, by its id."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            command = (folder / "cmdline").read_text().split("\0")
            if int(fields[1]) == parent and "transforms.media.child" in command:
                found[int(folder.name)] = (int(fields[11]) + int(fields[12])) / os.sysconf(
                    "SC_CLK_TCK"
                )
    return found
