"""What syncing costs: the same split with it and without (``--no-fsync``), by turns.

    python -m benchmarks.fsync --folder work --rounds 3

Many small clips, so that there is much to sync. On a machine with other work the least of the
rounds counts. Syncing costs what the disk of ``--folder`` takes for it: name one of the kind
that outputs will lie on.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from beam_pipeline.commands.sample import draw
from benchmarks.process_tree import Cost, measure

WAYS = {"synced": "--fsync", "not synced": "--no-fsync"}


def split_once(raw: Path, out: Path, option: str) -> Cost:
    """Split into clips of one second and return the cost."""
    shutil.rmtree(out, ignore_errors=True)
    command = [sys.executable, "-m", "beam_pipeline", "split", "--no-predict", option]
    command += [
        "--splitting_algorithm",
        "fixed-stride",
        "--fixed_stride_split_duration",
        "1",
        "--fixed_stride_min_clip_length_s",
        "0.5",
    ]
    command += ["--input_video_path", str(raw), "--output_clip_path", str(out)]
    return measure(command, log=out.with_suffix(".log"))


def main() -> None:
    """Print seconds of both ways and their ratio."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True, help="where to write")
    parser.add_argument("--seconds", type=float, default=120.0, help="of video")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    raw, out = options.folder / "raw", options.folder / "out"
    draw(raw, seconds=options.seconds, seed=0)
    costs: dict[str, list[Cost]] = {way: [] for way in WAYS}
    for _ in range(options.rounds):
        for way, option in WAYS.items():
            costs[way].append(split_once(raw, out, option))
    wall = {way: min(cost.wall_seconds for cost in costs[way]) for way in WAYS}
    processor = {way: min(cost.processor_seconds for cost in costs[way]) for way in WAYS}
    num_clips = len(list((out / "clips").glob("*.mp4")))
    print(f"{num_clips} clips")
    for way in WAYS:
        print(f"{way:<11} {wall[way]:6.2f} s wall, {processor[way]:6.2f} s of processor time")
    print(
        f"synced / not synced: wall {wall['synced'] / wall['not synced']:.3f}, "
        f"processor {processor['synced'] / processor['not synced']:.3f}"
    )


if __name__ == "__main__":
    main()
