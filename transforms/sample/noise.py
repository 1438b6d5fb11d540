"""Smooth random fields that repeat without a seam, the raw material of the drawn scenes."""

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]


def smooth_noise(
    rng: np.random.Generator, *, shape: tuple[int, int], cells: tuple[int, int]
) -> Field:
    """Return one octave of noise in [0, 1) that repeats at its edges. Shape ``shape`` (H, W).

    Args:
        rng: Source of the ``cells`` random values.
        shape: Height and width in px.
        cells: Random values along the height and along the width, each at least 1.
    """
    lattice = rng.random(cells, dtype=np.float32)
    return _stretch(_stretch(lattice, shape[0]).T, shape[1]).T


def fractal_noise(
    rng: np.random.Generator, *, shape: tuple[int, int], cells: tuple[int, int], octaves: int = 4
) -> Field:
    """Return several octaves of noise, each twice as fine and half as strong, scaled to [0, 1].

    ``cells`` belongs to the coarsest octave; octaves finer than a pixel are left out.
    """
    total = smooth_noise(rng, shape=shape, cells=cells)
    strength = np.float32(0.5)
    for octave in range(1, octaves):
        finer = (cells[0] << octave, cells[1] << octave)
        if finer[0] > shape[0] or finer[1] > shape[1]:
            break
        total = total + strength * smooth_noise(rng, shape=shape, cells=finer)
        strength *= np.float32(0.5)
    low, high = total.min(), total.max()
    return (total - low) / max(high - low, np.float32(1e-6))


def relief(height: Field, *, strength: float) -> Field:
    """Return light and shadow of a height field lit from the top left, about [-60, 60] luma."""
    slope = np.roll(height, 1, axis=0) - height + np.roll(height, 1, axis=1) - height
    # Slopes per pixel shrink with the size of the picture; the light on them should not.
    return np.clip(slope * np.float32(strength * min(height.shape)), -60, 60)


def _stretch(values: Field, length: int) -> Field:
    """Return ``values`` (n, m) stretched smoothly to (length, m), wrapping at the end."""
    count = values.shape[0]
    place = np.arange(length, dtype=np.float32) * np.float32(count / length)
    left = np.minimum(place.astype(np.intp), count - 1)
    part = place - left
    part = (part * part * (3 - 2 * part))[:, None]
    return values[left] * (1 - part) + values[(left + 1) % count] * part
