"""How pictures are scaled and converted: the same bits on every processor."""

from __future__ import annotations

from typing import cast

from av.video.reformatter import Interpolation

_BICUBIC, _POINT, _ACCURATE_RND, _BITEXACT = 0x4, 0x10, 0x40000, 0x80000

EXACT_BICUBIC = cast(Interpolation, _BICUBIC | _ACCURATE_RND | _BITEXACT)
"""Bicubic, rounded accurately, without code that depends on the processor.

FFmpeg's numbers: PyAV takes them in every version, but names all three only from 18 on.
"""

NEAREST = cast(Interpolation, _POINT)
"""The nearest pixel; nothing is computed."""

EXACT_BICUBIC_NAMES = "bicubic+accurate_rnd+bitexact"
"""The same for FFmpeg's filters."""
