"""What finding shots costs, beside decoding alone and beside PySceneDetect, in the same run.

    python -m benchmarks.shots_speed --minutes 1 --work /some/disk

Needs the extras ``models`` and ``benchmark``. Prints three tables: decoding for detection against
decoding alone, on drawn videos and, where ``BEAM_CURATE_TEST_VIDEOS`` names their folder, on real
ones; the network with one thread and with one window per thread; finding shots and cutting there,
ours (without the network's own time, which is printed) against PySceneDetect, each without what it
costs when there is nothing to do; ours has its children's start counted. Exit status 1 when a
target is missed.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from benchmarks.process_tree import Cost
from benchmarks.split import Job, best_of, draw_sources, module_command, print_table, without
from benchmarks.split_floor import decode_clip
from benchmarks.split_parts import print_parts, stage_seconds
from transforms.media.decode import DecodeCounters
from transforms.media.packet_index import PacketIndex, build_packet_index
from transforms.media.probe import probe
from transforms.media.slots import num_slots
from transforms.media.small_frames import small_frames
from transforms.models.transnetv2 import ShotScorer
from transforms.models.weights import find_weights
from transforms.records import VideoFacts
from transforms.shots.frame_changes import frame_changes
from transforms.shots.score_windows import MARGIN, STEP

TARGET_OF_DECODING = 1.15
REAL = ("skv_bikes.mp4", "cosmos_test_video_30s.mp4", "dj_video11.mp4", "synth_cuts_gt.mp4")
WHOLE_SHOTS = (
    *("--transnetv2_min_length_s", "0", "--transnetv2_min_length_frames", "1"),
    *("--transnetv2_crop_s", "0"),
)
"""Every shot becomes a clip, as every scene does there."""


class Decoding:
    """Decodes one file in three ways and keeps the least processor time of each."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._facts: VideoFacts = probe(str(path), name=str(path), num_bytes=path.stat().st_size)
        self._index: PacketIndex = build_packet_index(str(path), self._facts)
        self.num_frames = len(self._index.pts)
        self.alone = self.small = self.changes = float("inf")

    def measure(self) -> None:
        """Decode once in each way."""
        self.alone = min(self.alone, _processor_time(lambda: decode_clip(self._path)))
        self.small = min(self.small, _processor_time(self._small))
        frames = self._small()
        self.changes = min(self.changes, _processor_time(lambda: frame_changes(frames)))

    def _small(self) -> np.ndarray:
        return small_frames(
            self._path,
            self._facts,
            self._index,
            frames=(0, self.num_frames),
            all_pixels=False,
            counters=DecodeCounters(),
        )

    def line(self) -> str:
        """Return the row of the table."""
        size = f"{self._facts.width}x{self._facts.height}"
        milliseconds = (
            f"{1000 * seconds / self.num_frames:9.3f}"
            for seconds in (self.alone, self.small, self.changes)
        )
        return (
            f"{self._path.name:28}{size:>10}{''.join(milliseconds)}{self.small / self.alone:8.3f}"
        )


def compare_decoding(paths: Sequence[Path], *, repeats: int) -> float:
    """Print what decoding for detection costs per frame; return its ratio on the first file."""
    print(f"\n{'ms of processor per frame':38}{'decode':>9}{'small':>9}{'changes':>9}{'ratio':>8}")
    rows = [Decoding(path) for path in paths]
    for row in rows:
        for _ in range(repeats):
            row.measure()
        print(row.line(), flush=True)
    return rows[0].small / rows[0].alone


def compare_threads(*, windows_per_thread: int) -> None:
    """Print how many frames the network scores per second with one thread and with all."""
    windows = np.random.default_rng(0).integers(
        0, 256, (num_slots() * windows_per_thread, STEP + 2 * MARGIN, 27, 48, 3), np.uint8
    )
    weights = find_weights("transnetv2")
    print(f"\n{'network':16}{'frames/s':>10}{'cores busy':>12}{'ms of processor per frame':>27}")
    for num_threads in (1, num_slots()):
        scorer = ShotScorer(weights, device="cpu", num_threads=num_threads)
        list(scorer.score(windows[:1]))
        before, started = scorer.seconds, time.monotonic()
        list(scorer.score(windows))
        wall, seconds = time.monotonic() - started, scorer.seconds - before
        num_frames = STEP * len(windows)
        print(
            f"{f'threads: {num_threads}':16}{num_frames / wall:10.1f}{seconds / wall:12.2f}"
            f"{1000 * seconds / num_frames:27.1f}",
            flush=True,
        )


def compare_splits(job: Job, *, algorithm: str, repeats: int) -> bool:
    """Print detection and split beside PySceneDetect's; return whether ours costs less.

    Args:
        job: What is cut.
        algorithm: Ours.
        repeats: Of each measurement; the least counts.
    """
    nothing = job.folder / "nothing"
    nothing.mkdir(parents=True, exist_ok=True)
    theirs = module_command("shots_loop", job, "theirs")
    theirs_idle = module_command("shots_loop", dataclasses.replace(job, sources=nothing), "theirs")
    ours = job.ours("ours", "--splitting_algorithm", algorithm, *WHOLE_SHOTS)
    costs: dict[str, list[Cost]] = {}
    for _ in range(repeats):
        costs.setdefault("theirs", []).append(job.measure("theirs", theirs))
        costs.setdefault("their start", []).append(job.measure_again(theirs_idle))
        costs.setdefault("ours", []).append(job.measure("ours", ours))
        costs.setdefault("our start", []).append(job.measure_again(ours))
    best = {name: best_of(found) for name, found in costs.items()}
    network = stage_seconds(job.folder / "ours").get("inference", 0.0)
    rows = {
        "PySceneDetect": without(best["theirs"], best["their start"]),
        f"ours, {algorithm}": without(best["ours"], best["our start"]),
    }
    print()
    print_table(rows)
    mine = rows[f"ours, {algorithm}"].processor_seconds - network
    other = rows["PySceneDetect"].processor_seconds
    print_parts(job.folder / "ours", whole_seconds=other, of="PySceneDetect")
    print(f"the network in ours: {network:.2f} s of processor")
    print(
        f"ours without it / PySceneDetect in processor time: {mine / other:.3f} (target: below 1)"
    )
    return mine < other


def _processor_time(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=2.0, help="length of all drawn videos")
    parser.add_argument("--height", type=int, default=720, help="of the drawn videos (px)")
    parser.add_argument("--repeats", type=int, default=3, help="measurements of each, in turns")
    parser.add_argument("--algorithm", default="hybrid", help="splitting_algorithm of ours")
    parser.add_argument("--videos", type=Path, help="folder of mp4 files instead of drawn ones")
    parser.add_argument("--work", type=Path, required=True, help="folder; drawn videos stay there")
    options = parser.parse_args(arguments)
    job = draw_sources(
        options.work.absolute(),
        seconds=60 * options.minutes,
        height=options.height,
        single_keyframe=False,
    )
    if options.videos:
        job = dataclasses.replace(job, sources=options.videos.absolute())
    real = os.environ.get("BEAM_CURATE_TEST_VIDEOS")
    paths = [min(job.sources.glob("*.mp4")), *(Path(real) / name for name in REAL if real)]
    ratio = compare_decoding(paths, repeats=options.repeats)
    print(f"decoding for detection / decode alone: {ratio:.3f} (target: {TARGET_OF_DECODING})")
    if options.algorithm != "content":
        compare_threads(windows_per_thread=4)
    is_less = compare_splits(job, algorithm=options.algorithm, repeats=options.repeats)
    return int(ratio > TARGET_OF_DECODING or not is_less)


if __name__ == "__main__":
    raise SystemExit(main())
