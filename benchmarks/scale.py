"""What a clip costs as runs grow, and what a million records cost.

    python -m benchmarks.scale clips --counts 100,1000 --work /some/disk
    python -m benchmarks.scale clips --counts 100 --work /some/disk -- --runner=FlinkRunner \
        --flink_master=localhost:8081
    python -m benchmarks.scale records --counts 1e4,1e5 --work /some/disk
    python -m benchmarks.scale plan --counts 1e6 --work /some/disk

``clips`` runs ``curate`` on tiny videos of ten clips each and prints processor and wall seconds per
clip, start-up (a run with nothing left to do) apart, and the most memory of all processes together.
What is behind ``--`` is passed on: the runner, a cluster's address. On a cluster the processor time
is that of the submitter alone.

``records`` makes a finished output of so many clips without pixels (``benchmarks.scale_tree``) and
measures each step that goes through all of it, in a process of its own. Exit status 1 when a step's
time grows faster than the number of clips, with a quarter for what is not constant in a machine.
``plan`` measures the plan of shards alone, on a sixth of the files.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.process_tree import Cost, measure
from benchmarks.scale_steps import ORDER, PLAN_ORDER
from benchmarks.scale_tree import CLIPS_PER_VIDEO, clip_counts, draw_small_video, make_tree

_DRAWN = 4
"""Different videos; the others are copies of them."""
_TOLERANCE = 1.25
_SMALL_SECONDS = 0.5
"""Below this a step's time is that of a machine warming up."""


def make_inputs(folder: Path, num_videos: int) -> Path:
    """Return a folder of so many videos of ten seconds."""
    if not folder.exists():
        folder.mkdir(parents=True)
        for number in range(min(_DRAWN, num_videos)):
            path = folder / f"{number:06d}.mp4"
            draw_small_video(path, seconds=float(CLIPS_PER_VIDEO), seed=number)
        for number in range(_DRAWN, num_videos):
            source = folder / f"{number % _DRAWN:06d}.mp4"
            shutil.copyfile(source, folder / f"{number:06d}.mp4")
    return folder


def curate(raw: Path, folder: Path, more: Sequence[str]) -> tuple[Cost, Cost]:
    """Return what ``curate`` cost, and the same command again, which finds nothing to do."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    command = [
        *(sys.executable, "-m", "beam_pipeline", "curate", "--no-predict"),
        *("--splitting_algorithm", "fixed-stride", "--fixed_stride_split_duration", "1"),
        *("--fixed_stride_min_clip_length_s", "0.5", "--motion_filter", "score-only"),
        *("--input_video_path", str(raw), "--output_clip_path", str(folder / "out")),
        *more,
    ]
    return measure(command, log=folder / "log"), measure(command, log=folder / "log-again")


def clips(work: Path, counts: Sequence[int], more: Sequence[str]) -> int:
    """Print the cost per clip for each number of clips."""
    print(f"{'clips':>8}{'processor':>11}{'wall':>9}{'start-up':>10}{'peak':>7}  first shard")
    print(f"{'':8}{'ms a clip':>11}{'ms a clip':>9}{'s':>10}{'MiB':>7}  s")
    for count in counts:
        num_videos = count // CLIPS_PER_VIDEO
        raw = make_inputs(work / f"inputs-{count}", num_videos)
        cost, again = curate(raw, work / "curated", more)
        stats = json.loads((work / "curated" / "out" / "performance_stats_0.json").read_text())
        processor = (cost.processor_seconds - again.processor_seconds) / count * 1000
        wall = (cost.wall_seconds - again.wall_seconds) / count * 1000
        first = stats["seconds_to_first"]["listed_shard"]
        print(
            f"{count:8}{processor:11.1f}{wall:9.1f}{again.wall_seconds:10.1f}"
            f"{cost.peak_bytes / 2**20:7.0f}  {first:.1f}"
        )
    return 0


def records(work: Path, counts: Sequence[int], *, is_plan: bool = False) -> int:
    """Print what each step costs on trees of each size; return the exit status."""
    order = PLAN_ORDER if is_plan else ORDER
    found: dict[str, list[tuple[int, dict[str, Any]]]] = {step: [] for step in order}
    for count in counts:
        folder = work / f"{'records' if is_plan else 'tree'}-{count}"
        make_tree(folder, num_clips=count, records_only=is_plan)
        shutil.rmtree(folder / "dataset", ignore_errors=True)
        for step in order:
            found[step].append((count, _step(step, folder)))
    print(f"{'':18}{'':9}{'wall':>9}{'processor':>11}{'memory':>8}")
    print(f"{'step':18}{'clips':>9}{'s':>9}{'us a clip':>11}{'MiB':>8}{'bytes a clip':>14}")
    for step, rows in found.items():
        for count, one in rows:
            per_clip = one["processor_seconds"] / count * 1e6
            grown = one["grown_mib"]
            print(
                f"{step:18}{count:9}{one['seconds']:9.2f}{per_clip:11.1f}{grown:8.0f}"
                f"{grown * 2**20 / count:14.0f}"
            )
    steep = [step for step, rows in found.items() if _is_steep(rows)]
    if steep:
        print(f"time grows faster than the number of clips: {', '.join(steep)}")
    return int(bool(steep))


def _step(step: str, folder: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.scale_steps", step, str(folder)]
    result = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    content: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return content


def _is_steep(rows: Sequence[tuple[int, dict[str, Any]]]) -> bool:
    (few, small), (many, large) = rows[0], rows[-1]
    before, after = small["processor_seconds"], large["processor_seconds"]
    if before < _SMALL_SECONDS or many == few:
        return False
    return bool(after / many > _TOLERANCE * before / few)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", choices=("clips", "records", "plan"))
    parser.add_argument("--counts", default="100,1000", help="numbers of clips")
    parser.add_argument("--work", type=Path, required=True, help="folder with enough space")
    given = list(sys.argv[1:] if arguments is None else arguments)
    place = given.index("--") if "--" in given else len(given)
    own, more = given[:place], given[place + 1 :]
    options = parser.parse_args(own)
    options.work.mkdir(parents=True, exist_ok=True)
    counts = list(clip_counts(options.counts))
    if options.what != "clips":
        return records(options.work, counts, is_plan=options.what == "plan")
    return clips(options.work, counts, more)


if __name__ == "__main__":
    raise SystemExit(main())
