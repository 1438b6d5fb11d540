"""Cutting by a loop over the ffmpeg program: one process per clip, each seeks by itself.

    python -m benchmarks.split_loop --processes 2 --sources raw --clip_seconds 10 --folder work

Several at once, with libx264 and one thread per process; with ``--processes 1`` one after the
other, with as many threads as ffmpeg likes, as a plain shell loop does. Clips are not looked at.
"""

from __future__ import annotations

import argparse
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import imageio_ffmpeg


def cut(source: Path, target: Path, *, start: float, end: float, one_thread: bool) -> None:
    """Cut and encode ``[start, end)`` seconds."""
    threads = ["-threads", "1"] if one_thread else []
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-loglevel", "error", "-y"]
    command += [*threads, "-ss", f"{start}", "-to", f"{end}", "-i", str(source)]
    command += ["-map", "0:v:0", "-c:v", "libx264", "-preset", "veryfast", "-b:v", "4M"]
    subprocess.run([*command, *threads, str(target)], check=True)


def main() -> None:
    """Cut every source, several clips at a time."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--processes", type=int, required=True)
    parser.add_argument("--sources", type=Path, required=True, help="folder of mp4 files")
    parser.add_argument("--seconds", type=float, required=True, help="length of each source")
    parser.add_argument("--clip_seconds", type=float, required=True)
    parser.add_argument("--folder", type=Path, required=True, help="where to write")
    options = parser.parse_args()
    num_clips = round(options.seconds / options.clip_seconds)
    jobs = [
        (source, number)
        for source in sorted(options.sources.glob("*.mp4"))
        for number in range(num_clips)
    ]

    def cut_one(job: tuple[Path, int]) -> None:
        source, number = job
        start = number * options.clip_seconds
        target = options.folder / f"{source.stem}-{number}.mp4"
        end = start + options.clip_seconds
        cut(source, target, start=start, end=end, one_thread=options.processes > 1)

    with ThreadPoolExecutor(options.processes) as pool:
        list(pool.map(cut_one, jobs))


if __name__ == "__main__":
    main()
