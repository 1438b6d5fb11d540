"""What an independent program, the ffmpeg binary of the imageio-ffmpeg wheel, decodes."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np


def ffmpeg(*arguments: str) -> str:
    """Run ffmpeg and return what it prints; raise ``CalledProcessError`` when it fails."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-nostdin", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def frame_hashes(
    path: Path, *, stream: int | None = None, filters: str = ""
) -> list[tuple[int, str]]:
    """Return (PTS in the stream's ticks, md5 of the visible pixels) of every decoded frame.

    Pixels are as stored: not rotated, not converted unless ``filters`` says so.

    Args:
        path: Video.
        stream: Index in the container; None: the one ffmpeg chooses.
        filters: An ffmpeg filter chain, e.g. "scale=64:48"; empty: none.
    """
    chosen = "0:V:0" if stream is None else f"0:{stream}"
    printed = ffmpeg(
        *("-noautorotate", "-threads", "1", "-copyts", "-i", f"file:{path}"),
        *("-map", chosen, "-fps_mode", "passthrough", "-enc_time_base", "demux"),
        *(("-vf", filters) if filters else ()),
        *("-c:v", "rawvideo", "-f", "framemd5", "-"),
    )
    rows = (line.split(",") for line in printed.splitlines() if not line.startswith("#"))
    return [(int(row[2]), row[5].strip()) for row in rows]


def visible_md5(frame: av.VideoFrame) -> str:
    """Return the md5 of the frame's visible pixels, planes one after another, as ffmpeg does.

    Chroma sizes are rounded up. Plane memory beyond the visible width differs from run to run.
    """
    digest = hashlib.md5()
    for plane, component in zip(frame.planes, frame.format.components, strict=False):
        num_bytes = component.width * ((component.bits + 7) // 8)
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
        digest.update(rows[: component.height, :num_bytes].tobytes())
    return digest.hexdigest()
