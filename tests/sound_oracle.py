"""What is heard in a file, by the ffmpeg binary, and how late one sound is against another."""

from __future__ import annotations

import subprocess
from fractions import Fraction
from pathlib import Path

import imageio_ffmpeg
import numpy as np
from ffmpeg_oracle import ffmpeg

RATE = 48000
"""Samples per second of everything returned here."""


def heard_from(path: Path) -> tuple[int, np.ndarray]:
    """Return the time of the first sample, in samples of the file's own time, and all samples.

    Mono, 48 kHz.
    """
    chosen = ("-copyts", "-i", str(path), "-map", "0:a:0", "-ar", str(RATE), "-ac", "1")
    rows = [row for row in ffmpeg(*chosen, "-f", "framecrc", "-").splitlines() if row[0] != "#"]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *chosen, "-f", "f32le", "-"]
    raw = subprocess.run(command, check=True, capture_output=True).stdout
    samples = np.frombuffer(raw, np.float32).astype(np.float64)
    return int(rows[0].split(",")[2]), samples


def heard(path: Path, start: Fraction, *, seconds: float) -> np.ndarray:
    """Return the samples that are heard from ``start`` on in the file's own time, by ffmpeg.

    Mono, 48 kHz; silence where there is none.
    """
    first, samples = heard_from(path)
    skip = round(start * RATE) - first
    samples = np.concatenate([np.zeros(max(0, -skip)), samples[max(0, skip) :]])
    return samples[: round(seconds * RATE)]


def lag_and_likeness(got: np.ndarray, wanted: np.ndarray) -> tuple[int, float]:
    """Return by how many samples ``got`` is late, and how alike they are then, at most 1."""
    size = 1 << (len(got) + len(wanted)).bit_length()
    spectrum = np.fft.rfft(got, size) * np.conj(np.fft.rfft(wanted, size))
    correlation = np.fft.irfft(spectrum, size)
    lag = int(np.argmax(correlation))
    likeness = correlation[lag] / np.sqrt((got**2).sum() * (wanted**2).sum())
    return (lag if lag < size // 2 else lag - size), float(likeness)
