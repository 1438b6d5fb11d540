"""Cut spans of a file without a pipeline around it."""

from __future__ import annotations

import itertools
import re
import subprocess
from fractions import Fraction
from pathlib import Path

import imageio_ffmpeg

from transforms.media.clip_form import ClipForm
from transforms.media.cut import CutResult, CutSpan, cut_run
from transforms.media.decode import DecodeCounters
from transforms.media.encode import EncodeSettings, resolve_encoder
from transforms.media.packet_index import build_packet_index
from transforms.media.probe import probe
from transforms.media.transcode_options import Transcode


def trial_cut(  # noqa: PLR0913 - as cut_run
    path: Path,
    folder: Path,
    form: ClipForm,
    *,
    bounds: tuple[Fraction | None, ...] = (Fraction(0), None),
    encode: EncodeSettings | None = None,
    keep_prefix: float | None = None,
    crop: tuple[int, int, int, int] | None = None,
) -> list[CutResult]:
    """Cut the spans between ``bounds`` (seconds; None: the end) at high quality."""
    folder.mkdir(exist_ok=True)
    settings = encode or resolve_encoder(Transcode(transcode_crf=12))[0]
    facts = probe(str(path), name=path.name, num_bytes=path.stat().st_size)
    spans = [
        CutSpan(f"clip{number}", start or Fraction(0), end)
        for number, (start, end) in enumerate(itertools.pairwise(bounds))
    ]
    return list(
        cut_run(
            path,
            facts,
            build_packet_index(str(path), facts, keep_prefix=keep_prefix is not None),
            spans,
            settings=settings,
            folder=folder,
            windows=(256, 128),
            counters=DecodeCounters(),
            keep_prefix=keep_prefix,
            crop=crop,
            form=form,
        )
    )


def stream_line(path: Path) -> str:
    """Return what the ffmpeg binary says of the file's video stream."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-i", str(path)]
    told = subprocess.run(command, check=False, capture_output=True, text=True).stderr
    return next(line.strip() for line in told.splitlines() if " Video: " in line)


def told_size(path: Path) -> tuple[int, int, str]:
    """Return width, height and sample aspect ratio as the ffmpeg binary says them."""
    found = re.search(r", (\d+)x(\d+)(?: \[SAR (\d+:\d+))?", stream_line(path))
    assert found
    return int(found[1]), int(found[2]), found[3] or "1:1"
