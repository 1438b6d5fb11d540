"""Small videos whose frames carry their number, made and read by the ffmpeg binary."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np
from ffmpeg_oracle import frame_hashes

CELLS = 4
"""The number stands in 4 x 4 black or white cells: 10 bits number, 6 bits 63 - number modulo 61."""


@dataclass(frozen=True)
class Made:
    """How a coded video is made."""

    name: str
    """File name; the ending chooses the container."""
    output: tuple[str, ...]
    """Output options of ffmpeg: encoder, pixel format, GOP, filters."""
    num_frames: int = 75
    rate: str = "25"
    size: int = 64
    """Width and height in pixels, a multiple of 4."""
    sound: tuple[str, ...] = ()
    """Further inputs and their options; empty: no sound."""
    dips: int = 0
    """Frames between changes of brightness, which encoders take for scene cuts; 0: none."""


def make_coded(folder: Path, made: Made) -> Path:
    """Write the video and return its path."""
    path = folder / made.name
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y"]
    command += ["-f", "rawvideo", "-pix_fmt", "gray", "-s", f"{made.size}x{made.size}"]
    command += ["-r", made.rate, "-i", "-", *made.sound, "-threads", "1", *made.output, str(path)]
    frames = b"".join(_picture(number, made).tobytes() for number in range(made.num_frames))
    subprocess.run(command, input=frames, check=True)
    return path


def _picture(number: int, made: Made) -> np.ndarray:
    word = number << 6 | 63 - number % 61
    bits = np.array([word >> shift & 1 for shift in range(16)], np.uint8).reshape(CELLS, CELLS)
    cell = made.size // CELLS
    low, high = (90, 255) if made.dips and number // made.dips % 2 else (16, 180)
    return (low + bits * (high - low)).repeat(cell, 0).repeat(cell, 1).astype(np.uint8)


def read_codes(path: Path) -> list[int]:
    """Return the number in every frame that ffmpeg decodes, as players show it; -1: unreadable."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(path), "-map", "0:V:0"]
    command += ["-fps_mode", "passthrough", "-vf", "scale=64:64:flags=area", "-pix_fmt", "gray"]
    raw = subprocess.run([*command, "-f", "rawvideo", "-"], check=True, capture_output=True).stdout
    frames = np.frombuffer(raw, np.uint8).reshape(-1, 64, 64)
    return [_read(frame) for frame in frames]


def _read(frame: np.ndarray) -> int:
    cells = frame.reshape(CELLS, 16, CELLS, 16)[:, 4:12, :, 4:12].mean(axis=(1, 3)).ravel()
    bits = cells > (cells.min() + cells.max()) / 2
    word = int(sum(1 << shift for shift, bit in enumerate(bits) if bit))
    number, check = word >> 6, word & 63
    return number if check == 63 - number % 61 else -1


def frame_times(path: Path) -> list[Fraction]:
    """Return the exact time of every frame in seconds, PTS by ffmpeg."""
    with av.open(str(path)) as container:
        time_base = container.streams.video[0].time_base
    assert time_base is not None
    return [pts * time_base for pts, _ in frame_hashes(path)]


def keyframe_numbers(path: Path) -> list[int]:
    """Return the numbers of the frames whose packets are keyframes, in presentation order."""
    with av.open(str(path)) as container:
        packets = [p for p in container.demux(container.streams.video[0]) if p.size]
    packets.sort(key=lambda packet: packet.pts or 0)
    return [number for number, packet in enumerate(packets) if packet.is_keyframe]
