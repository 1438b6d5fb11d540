"""Processor time of the shard writer against GNU tar on the same clips, in the same run.

    python -m benchmarks.shard --gigabytes 2 --folder /some/disk

Both write whole clips into tars of the same size. Ours also reads the metadata, writes the second
tar with it and publishes both through the storage interface. Imports are not counted.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

from transforms.shards.options import DatasetRun, ShardSettings
from transforms.shards.shard_samples import ShardKey, ShardSample
from transforms.shards.write_shards import write_shard

TARGET_RATIO = 1.5


def make_clips(root: Path, *, num_clips: int, clip_bytes: int) -> list[str]:
    """Write clips of random bytes and their metadata; return their ids, sorted."""
    (root / "clips").mkdir(parents=True)
    (root / "metas" / "v0").mkdir(parents=True)
    block = os.urandom(1 << 20)
    ids = sorted(str(uuid.uuid5(uuid.NAMESPACE_URL, str(number))) for number in range(num_clips))
    for clip_id in ids:
        with (root / "clips" / f"{clip_id}.mp4").open("wb") as clip:
            for start in range(0, clip_bytes, len(block)):
                clip.write(block[: clip_bytes - start])
        meta = {"span_uuid": clip_id, "windows": [{"start_frame": 0, "end_frame": 255}]}
        (root / "metas" / "v0" / f"{clip_id}.json").write_text(json.dumps(meta, indent=4))
    return ids


def write_ours(root: Path, shards: Sequence[Sequence[str]], target: Path) -> None:
    """Write the shards as the pipeline does."""
    run = DatasetRun(
        input_root=str(root),
        dataset_root=str(target),
        annotation_version="v0",
        progress_folder=str(root / "progress"),
        scratch=str(root / "scratch"),
    )
    for index, clip_ids in enumerate(shards):
        tar_name = f"part_000000/{index:06d}.tar"
        key: ShardKey = ("resolution_720", "aspect_ratio_16_9", "frames_0_255", tar_name)
        samples = [
            ShardSample(position, clip_id, 0, 256, False, 0, len(clip_ids))
            for position, clip_id in enumerate(clip_ids)
        ]
        write_shard((key, samples), settings=ShardSettings(), run=run)


def write_tar(root: Path, shards: Sequence[Sequence[str]], target: Path) -> None:
    """Write the same clips with GNU tar."""
    target.mkdir(parents=True)
    for index, clip_ids in enumerate(shards):
        names = [f"{clip_id}.mp4" for clip_id in clip_ids]
        command = ["tar", "--format=ustar", "-cf", str(target / f"{index:06d}.tar"), *names]
        subprocess.run(command, cwd=root / "clips", check=True)


def processor_seconds(work: Callable[[], None]) -> tuple[float, float]:
    """Return (processor, wall) seconds of ``work``, its child processes included."""
    before, started = _used(), time.monotonic()
    work()
    return _used() - before, time.monotonic() - started


def _used() -> float:
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(sum(resource.getrusage(kind)[:2]) for kind in kinds)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure in turns and print one table; exit status 1 when the target is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--gigabytes", type=float, default=2.0, help="size of all clips (GiB)")
    parser.add_argument("--clip-mb", type=float, default=5.0, help="size of a clip (MiB)")
    parser.add_argument("--tar-mb", type=int, default=500, help="clips in a tar (MiB)")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each, in turns")
    parser.add_argument("--folder", default=None, help="where to work; default: temporary folder")
    options = parser.parse_args(arguments)
    clip_bytes = int(options.clip_mb * 2**20)
    num_clips = max(1, round(options.gigabytes * 2**30 / clip_bytes))
    per_tar = max(1, options.tar_mb * 2**20 // clip_bytes)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        root, target = Path(folder) / "clips", Path(folder) / "out"
        ids = make_clips(root, num_clips=num_clips, clip_bytes=clip_bytes)
        shards = [ids[start : start + per_tar] for start in range(0, len(ids), per_tar)]
        found: dict[str, list[tuple[float, float]]] = {"GNU tar": [], "ours": []}
        for _ in range(options.rounds):
            for name, write in (("GNU tar", write_tar), ("ours", write_ours)):
                _settle()
                work = lambda write=write: write(root, shards, target)  # noqa: E731
                found[name].append(processor_seconds(work))
                shutil.rmtree(target)
    return _report(found, gibibytes=num_clips * clip_bytes / 2**30, num_tars=len(shards))


def _settle() -> None:
    # What the last measurement left to be written to disk is not the next one's work.
    os.sync()


def _report(found: dict[str, list[tuple[float, float]]], *, gibibytes: float, num_tars: int) -> int:
    print(f"{gibibytes:.2f} GiB in {num_tars} tars, minimum of {len(found['ours'])} rounds")
    print(f"{'':10}{'processor s':>12}{'wall s':>10}{'s per GiB':>12}")
    best = {name: min(times) for name, times in found.items()}
    for name, (processor, wall) in best.items():
        print(f"{name:10}{processor:12.2f}{wall:10.2f}{processor / gibibytes:12.2f}")
    ratio = best["ours"][0] / best["GNU tar"][0]
    print(f"ratio of processor time {ratio:.2f} (target: at most {TARGET_RATIO})")
    return int(ratio > TARGET_RATIO)


if __name__ == "__main__":
    raise SystemExit(main())
