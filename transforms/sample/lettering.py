"""A wall of words, over which the camera moves."""

import numpy as np
from numpy.typing import NDArray

from transforms.sample.bitmap_font import text_mask
from transforms.sample.planes import Planes
from transforms.sample.textures import Size, plasma


def lettering(rng: np.random.Generator, size: Size) -> Planes:
    """Return a wall of large words with shadows on soft stripes."""
    picture = plasma(rng, size)
    words = [
        "SHOT BY SHOT",
        "FRAME BY FRAME",
        "CUT THE REEL",
        "KEEP THE BEST",
        "24 A SECOND",
        "REEL",
    ]
    luma = (picture.y * np.float32(0.45) + 10).astype(np.uint8)
    lines = 6
    dot = max(1, min(size) // (lines * 11))
    pitch = size[1] / max(1, round(size[1] / (dot * 11)))
    words = [text for text in words if (6 * len(text) + 8) * dot <= size[0]]
    for line in range(round(size[1] / pitch)):
        row = _filled_line(words[int(rng.integers(len(words)))], size[0], dot_px=dot)
        ink = np.zeros((size[1], size[0]), dtype=bool)
        top = round(line * pitch + dot)
        ink[top : top + row.shape[0]] = np.roll(row, int(rng.integers(size[0])), axis=1)
        luma[np.roll(ink, (dot // 2 + 1, dot // 2 + 1), axis=(0, 1))] = 24
        luma[ink] = 222
    u, v = (((plane.astype(np.int16) - 128) // 2 + 128).astype(np.uint8) for plane in picture[1:])
    return Planes(luma, u, v)


def _filled_line(text: str, width: int, *, dot_px: int) -> NDArray[np.bool_]:
    """Return ``text`` as often as it fits, so spaced that the line repeats after ``width`` px."""
    ink = text_mask(text, dot_px=dot_px)
    copies = max(1, width // (ink.shape[1] + 8 * dot_px))
    line = np.zeros((ink.shape[0], width), dtype=bool)
    for copy in range(copies):
        left = copy * width // copies
        line[:, left : left + ink.shape[1]] |= ink[:, : width - left]
    return line
