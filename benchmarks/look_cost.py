"""What the scores of pixels cost, in processor time.

From the repository root: ``python -m benchmarks.look_cost VIDEO...``

Each video is encoded as one clip by the default encoder, and the clip is looked at with nothing to
find out, for motion, and for motion and every score of pixels. Least of several tries.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
import time
from fractions import Fraction
from pathlib import Path

from transforms.media.cut import CutSpan, cut_run
from transforms.media.decode import DecodeCounters
from transforms.media.encode import resolve_encoder
from transforms.media.look import LookSettings, MotionSettings, look
from transforms.media.observers.luma_scores import SCORERS
from transforms.media.packet_index import build_packet_index
from transforms.media.probe import probe
from transforms.media.transcode_options import Transcode

TRIES = 5
LOOKS = {
    "nothing": LookSettings(),
    "motion": LookSettings(motion=MotionSettings()),
    "motion and scores": LookSettings(motion=MotionSettings(), scores=tuple(SCORERS)),
}


def main() -> None:
    """Print one line per video."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("videos", type=Path, nargs="+")
    print("| file | frames | cut | look: nothing | motion | and scores | look x | cut + look x |")
    print("|---|---|---|---|---|---|---|---|")
    for video in parser.parse_args().videos:
        with tempfile.TemporaryDirectory() as folder:
            print(row(video, Path(folder)))


def row(video: Path, folder: Path) -> str:
    """Return the table row of one video: seconds, and what the scores multiply them by."""
    cutting, clip = cut(video, folder)
    times = dict.fromkeys(LOOKS, float("inf"))
    num_frames = 0
    for _ in range(TRIES):  # In turns: the machine's moods then hit all of them.
        for name, settings in LOOKS.items():
            start = time.process_time()
            num_frames = look(clip, settings, preview_folder=folder).num_frames
            times[name] = min(times[name], time.process_time() - start)
    nothing, motion, scores = times.values()
    seconds = " | ".join(f"{value:.3f}" for value in (cutting, nothing, motion, scores))
    ratios = f"{scores / motion:.3f} | {(cutting + scores) / (cutting + motion):.3f}"
    return f"| {video.name} | {num_frames} | {seconds} | {ratios} |"


def cut(video: Path, folder: Path) -> tuple[float, Path]:
    """Return the processor time of encoding the video as one clip, and the clip."""
    settings, _ = resolve_encoder(Transcode())
    with video.open("rb") as file:
        facts = probe(file, name=video.name, num_bytes=video.stat().st_size)
    start = time.process_time()
    [result] = cut_run(
        video,
        facts,
        build_packet_index(str(video), facts),
        [CutSpan("clip", Fraction(0), None)],
        settings=dataclasses.replace(settings, passthrough=False),
        folder=folder,
        windows=(256, 128),
        counters=DecodeCounters(),
    )
    if result.path is None:
        raise SystemExit(f"{video}: {result.failure}")
    return time.process_time() - start, result.path


if __name__ == "__main__":
    main()
