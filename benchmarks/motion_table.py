"""Motion scores of real videos as they are, after our default encoder and after upstream's.

From the repository root: ``BEAM_CURATE_TEST_VIDEOS=FOLDER python -m benchmarks.motion_table``
prints the table of ``docs/motion.md``. It needs the ``test`` extra, whose ffmpeg program has
upstream's encoder, libopenh264.
"""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import tempfile
from fractions import Fraction
from pathlib import Path

import imageio_ffmpeg

from transforms.filters.motion_options import MotionFilter
from transforms.media.cut import CutSpan, cut_run
from transforms.media.decode import DecodeCounters
from transforms.media.encode import resolve_encoder
from transforms.media.look import LookResult, LookSettings, MotionSettings, look
from transforms.media.packet_index import build_packet_index
from transforms.media.probe import probe
from transforms.media.transcode_options import Transcode

SUFFIXES = {".avi", ".mkv", ".mov", ".mp4", ".webm"}
HEADING = (
    "| file | codec, size, frames | as it is | libx264 (ours) | libopenh264 (upstream) |\n"
    "|---|---|---|---|---|"
)


def main() -> int:
    """Print the table; return the exit status."""
    folder = os.environ.get("BEAM_CURATE_TEST_VIDEOS")
    if not folder:
        print("BEAM_CURATE_TEST_VIDEOS must name the folder of videos", file=sys.stderr)
        return 2
    print(HEADING)
    for video in sorted(Path(folder).iterdir()):
        if video.suffix in SUFFIXES:
            with tempfile.TemporaryDirectory() as scratch:
                print(row(video, Path(scratch)), flush=True)
    return 0


def row(video: Path, scratch: Path) -> str:
    """Return the table row of one video; clips are made in ``scratch``."""
    results = [
        score(video, scratch),
        score(our_encode(video, scratch), scratch),
        score(upstream_encode(video, scratch), scratch),
    ]
    original = results[0]
    facts = f"{original.video_codec} {original.width}x{original.height}, {original.num_frames}"
    return f"| {video.name} | {facts} | {' | '.join(cell(result) for result in results)} |"


def score(clip: Path, scratch: Path) -> LookResult:
    """Return what the look finds with the default sampling."""
    return look(clip, LookSettings(motion=MotionSettings()), preview_folder=scratch)


def cell(result: LookResult) -> str:
    """Return both scores and what the default thresholds make of them."""
    if not result.scores:
        return result.notes["motion_missing"]
    options = MotionFilter()
    mean = result.scores["motion_global_mean"]
    patch = result.scores["motion_per_patch_min_256"]
    failing = [
        name
        for name, value, threshold in (
            ("mean", mean, options.motion_global_mean_threshold),
            ("patch", patch, options.motion_per_patch_min_256_threshold),
        )
        if value < threshold
    ]
    verdict = f"rejected: {', '.join(failing)}" if failing else "kept"
    return f"{mean:.6f} / {patch:.7f} {verdict}"


def our_encode(video: Path, scratch: Path) -> Path:
    """Return the whole video as one clip of the default encoder."""
    settings, _ = resolve_encoder(Transcode())
    facts = probe(str(video), name=video.name, num_bytes=video.stat().st_size)
    (result,) = cut_run(
        video,
        facts,
        build_packet_index(str(video), facts),
        [CutSpan("ours", Fraction(0), None)],
        settings=dataclasses.replace(settings, passthrough=False),
        folder=scratch,
        windows=(256, 128),
        counters=DecodeCounters(),
    )
    if result.path is None:
        raise SystemExit(f"{video.name} could not be cut: {result.failure}")
    return result.path


def upstream_encode(video: Path, scratch: Path) -> Path:
    """Return the whole video as upstream's default ffmpeg command encodes it (contract §1.6)."""
    clip = scratch / "upstream.mp4"
    program = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-threads", "1", "-i", str(video)]
    encoder = ["-map", "0:v:0", "-c:v", "libopenh264", "-b:v", "4M", "-threads", "1"]
    subprocess.run([*program, *encoder, str(clip)], check=True, stdin=subprocess.DEVNULL)
    return clip


if __name__ == "__main__":
    sys.exit(main())
