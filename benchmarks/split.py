"""Processor time of ``split`` against the least it can cost, in the same run.

    python -m benchmarks.split --minutes 10 --work /some/disk
    python -m benchmarks.split --single_keyframe --minutes 2 --work /some/disk

The first prints one table: the floor (decode all, encode all as one stream per file, decode the
clips), ours without observers, with motion scores, and with every observer, and loops of one
ffmpeg process per clip, one after the other and as many at once as there are cores; then where the
time of ours with every observer went. The second cuts a file with a single keyframe into clips of
3 s and of 30 s. Every row is measured in turn with the others; the fastest of the repeats counts.
Ours is without start-up (a run with nothing left to do), which is printed apart. Exit status 1 when
a target is missed.
"""

from __future__ import annotations

import argparse
import dataclasses
import multiprocessing
import os
import shutil
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from benchmarks.process_tree import Cost, measure
from benchmarks.split_parts import print_parts
from transforms.media.observers.luma_scores import SCORERS
from transforms.media.slots import num_slots
from transforms.sample import RECIPES, draw_video

TARGET_RATIO = 1.15
TARGET_OF_SHORT_CLIPS = 1.5
LONGEST_FILE_SECONDS = 150.0
SEED = 7
ONE_BY_ONE = "ffmpeg per clip"
MOTION = ("--motion_filter", "score-only")
SCORES = tuple(option for name in SCORERS for option in (f"--{name}_filter", "score-only"))


@dataclasses.dataclass(frozen=True)
class Job:
    """What is cut, and where the work is done."""

    sources: Path
    seconds: float
    """Length of each source."""
    folder: Path

    def ours(self, name: str, *options: str) -> list[str]:
        """Return the command that splits the sources into folder ``name``."""
        return [
            *(sys.executable, "-m", "beam_pipeline", "split", "--no-predict"),
            *("--input_video_path", str(self.sources)),
            *("--output_clip_path", str(self.folder / name)),
            *("--scratch_path", str(self.folder)),
            *options,
        ]

    def measure(self, name: str, command: list[str]) -> Cost:
        """Run a command that fills the folder ``name``, which is emptied before."""
        shutil.rmtree(self.folder / name, ignore_errors=True)
        (self.folder / name).mkdir(parents=True)
        # What the measurement before left to be written to disk is not this one's work.
        os.sync()
        return self.measure_again(command)

    def measure_again(self, command: list[str]) -> Cost:
        """Run a command on what it left before."""
        return measure(command, log=self.folder / "log.txt")


def draw_sources(work: Path, *, seconds: float, height: int, single_keyframe: bool) -> Job:
    """Draw sample videos of ``seconds`` in all, unless they are there from an earlier run."""
    num_files = 1
    if not single_keyframe:
        num_files = max(num_slots(), round(seconds / LONGEST_FILE_SECONDS))
    each = seconds / num_files
    name = f"{num_files}-of-{each:g}s-{height}p" + ("-single-keyframe" if single_keyframe else "")
    folder = work / name
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number:02d}.mp4" for number in range(num_files)]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(num_slots(), mp_context=context) as pool:
        jobs = [
            pool.submit(_draw, path, each, height, single_keyframe)
            for path in paths
            if not path.exists()
        ]
        for job in jobs:
            job.result()
    return Job(folder, each, work / "measured")


def _draw(path: Path, seconds: float, height: int, single_keyframe: bool) -> None:
    (recipe,) = (recipe for recipe in RECIPES if recipe.name == "hd")
    width = 2 * round(height * 16 / 9 / 2)
    recipe = dataclasses.replace(recipe, size=(width, height), single_keyframe=single_keyframe)
    draw_video(path, recipe, seconds=seconds, seed=SEED + int(path.stem), turn=int(path.stem))


def compare(job: Job, *, clip_seconds: float, repeats: int) -> int:
    """Print the table of floor, ours and the loop; return the exit status."""
    processes = str(num_slots())
    length = (
        "--splitting_algorithm",
        "fixed-stride",
        "--fixed_stride_split_duration",
        f"{clip_seconds:g}",
    )
    bare = job.ours("bare", *length)
    motion = job.ours("motion", *length, *MOTION)
    everything = job.ours("all", *length, *MOTION, *SCORES, "--generate_previews")
    floor = [*module_command("split_floor", job, "floor"), "--processes", processes]
    floor += ["--clips", str(job.folder / "bare" / "clips")]
    loop = module_command("split_loop", job, "loop")
    loop += ["--seconds", f"{job.seconds}", "--clip_seconds", f"{clip_seconds}", "--processes"]
    costs: dict[str, list[Cost]] = {}
    for _ in range(repeats):
        costs.setdefault("bare", []).append(job.measure("bare", bare))
        costs.setdefault("floor", []).append(job.measure("floor", floor))
        costs.setdefault("motion", []).append(job.measure("motion", motion))
        costs.setdefault("all", []).append(job.measure("all", everything))
        costs.setdefault(ONE_BY_ONE, []).append(job.measure("loop", [*loop, "1"]))
        several = job.measure("loop", [*loop, processes])
        costs.setdefault(f"{processes} ffmpeg at once", []).append(several)
        costs.setdefault("start-up", []).append(job.measure_again(bare))
    best = {name: best_of(found) for name, found in costs.items()}
    startup = best.pop("start-up")
    for name in ("bare", "motion", "all"):
        best[name] = without(best[name], startup)
    print_table({name: best[name] for name in ("floor", *(n for n in best if n != "floor"))})
    _print_startup(startup)
    floor_seconds = best["floor"].processor_seconds
    print_parts(job.folder / "all", whole_seconds=floor_seconds, of="floor")
    ratio = best["all"].processor_seconds / floor_seconds
    print(f"all / floor in processor time: {ratio:.3f} (target: at most {TARGET_RATIO})")
    wall = best["all"].wall_seconds / best[ONE_BY_ONE].wall_seconds
    print(f"all / {ONE_BY_ONE} in time that passes: {wall:.3f} (target: at most 1)")
    return int(ratio > TARGET_RATIO or wall > 1)


def compare_clip_lengths(job: Job, *, repeats: int) -> int:
    """Print what clips of 3 s and of 30 s cost on one file; return the exit status."""
    commands = {
        name: job.ours(
            name,
            *MOTION,
            *("--splitting_algorithm", "fixed-stride", "--fixed_stride_split_duration", seconds),
        )
        for name, seconds in (("30 s", "30"), ("3 s", "3"))
    }
    costs: dict[str, list[Cost]] = {name: [] for name in (*commands, "start-up")}
    for _ in range(repeats):
        for name, command in commands.items():
            costs[name].append(job.measure(name, command))
        costs["start-up"].append(job.measure_again(commands["3 s"]))
    best = {name: best_of(found) for name, found in costs.items()}
    startup = best.pop("start-up")
    best = {name: without(cost, startup) for name, cost in best.items()}
    print_table(best)
    _print_startup(startup)
    ratio = best["3 s"].processor_seconds / best["30 s"].processor_seconds
    print(f"3 s / 30 s in processor time: {ratio:.3f} (target: at most {TARGET_OF_SHORT_CLIPS})")
    return int(ratio > TARGET_OF_SHORT_CLIPS)


def module_command(module: str, job: Job, name: str) -> list[str]:
    """Return the command of another benchmark on the sources, which fills folder ``name``."""
    return [
        *(sys.executable, "-m", f"benchmarks.{module}"),
        *("--sources", str(job.sources), "--folder", str(job.folder / name)),
    ]


def best_of(costs: Sequence[Cost]) -> Cost:
    """Return the least processor and wall time, and the largest memory, of several runs."""
    return dataclasses.replace(
        min(costs, key=lambda cost: cost.processor_seconds),
        wall_seconds=min(cost.wall_seconds for cost in costs),
        peak_bytes=max(cost.peak_bytes for cost in costs),
    )


def without(cost: Cost, startup: Cost) -> Cost:
    """Return the cost without that of starting up."""
    return dataclasses.replace(
        cost,
        processor_seconds=cost.processor_seconds - startup.processor_seconds,
        wall_seconds=cost.wall_seconds - startup.wall_seconds,
    )


def print_table(rows: dict[str, Cost]) -> None:
    """Print one line per row, times relative to the first one too."""
    first = next(iter(rows.values()))
    print(f"{'':16}{'processor s':>12}{'ratio':>7}{'wall s':>9}{'ratio':>7}{'peak MB':>9}")
    for name, cost in rows.items():
        print(
            f"{name:16}{cost.processor_seconds:12.2f}"
            f"{cost.processor_seconds / first.processor_seconds:7.3f}{cost.wall_seconds:9.2f}"
            f"{cost.wall_seconds / first.wall_seconds:7.3f}{cost.peak_bytes / 1e6:9.0f}"
        )


def _print_startup(cost: Cost) -> None:
    print(
        f"start-up (nothing left to do), not counted above: {cost.processor_seconds:.2f} s of "
        f"processor, {cost.wall_seconds:.2f} s"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0, help="length of all videos")
    parser.add_argument("--height", type=int, default=720, help="of the videos (px)")
    parser.add_argument("--repeats", type=int, default=3, help="measurements of each, in turns")
    parser.add_argument("--clip_seconds", type=float, default=10.0, help="length of a clip")
    parser.add_argument("--single_keyframe", action="store_true", help="clips of 3 s and of 30 s")
    parser.add_argument("--work", type=Path, required=True, help="folder; drawn videos stay there")
    options = parser.parse_args(arguments)
    job = draw_sources(
        options.work.absolute(),
        seconds=60 * options.minutes,
        height=options.height,
        single_keyframe=options.single_keyframe,
    )
    print(f"{options.minutes:g} minutes of {options.height}p, minimum of {options.repeats} runs")
    if options.single_keyframe:
        return compare_clip_lengths(job, repeats=options.repeats)
    return compare(job, clip_seconds=options.clip_seconds, repeats=options.repeats)


if __name__ == "__main__":
    raise SystemExit(main())
