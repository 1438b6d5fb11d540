"""High dynamic range (PQ, HLG) to 8-bit BT.709: one fixed rule, the same for every frame.

A colour goes, as numbers, through these steps; ``docs/trainer-clips.md`` says them for people.

1. To light in cd/m2: PQ by SMPTE ST 2084, each of red, green and blue at most 1000; HLG by ITU-R
   BT.2100 for a display of 1000 cd/m2 (system gamma 1.2).
2. Divided by 203 cd/m2, the reference white of ITU-R BT.2408.
3. Luminance is compressed by FFmpeg's Moebius curve: as it is up to 0.5, 1 at 1000 cd/m2; all three
   are scaled by the same factor, so that hues stay.
4. From BT.2020 to BT.709 primaries; what is outside 0 to 1 is clipped.
5. To a BT.1886 signal: to the power of 1 / 2.4.

FFmpeg's filters apply it by tables: one per channel for the light of step 1 (for HLG without its
system gamma) to the power of 1 / 2.4, then one of colours for the rest, linear between its points.
"""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path
from typing import Any

import av.filter
import numpy as np
from av.filter.context import FilterContext
from numpy.typing import NDArray

from transforms.media.scaling import EXACT_BICUBIC_NAMES

PQ, HLG = 16, 18
"""FFmpeg's numbers of the transfer functions SMPTE ST 2084 and ARIB STD-B67."""
HDR_TRANSFERS = ("smpte2084", "arib-std-b67")
"""Their names."""
BT709_TAGS = (1, 1, 1, 1)
"""Limited range, BT.709 primaries, transfer and matrix, as FFmpeg numbers them."""
TABLE_SIZE = 65
"""Colours per side of the table of colours."""
SHAPE_SIZE = 8192
"""Values of the table of a channel."""

WHITE = 203.0
PEAK = 1000.0
KNEE = 0.5
GAMMA = 2.4
RULE = 1
"""Counted up when clips of such sources come to be other ones; outputs are gone on with by it."""
_UNTAGGED = 2
_SCALER_WHITE = 65280 / 65535
"""What FFmpeg's scaler takes for white in 16-bit RGB: 255 times 256."""
_LUMINANCE = np.array([0.2627, 0.6780, 0.0593])
"""Of BT.2020 colours."""
_BT2020_TO_BT709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]]
)
"""ITU-R BT.2087, for linear light."""

Colours = NDArray[np.float64]
"""Red, green and blue. Shape (..., 3)."""


def tone_mapped(signal: Colours, transfer: int) -> Colours:
    """Return BT.709 colours, 0 to 1, of BT.2020 colours in PQ or HLG, 0 to 1."""
    return _mapped(_shaped(signal, transfer), transfer)


def definition() -> dict[str, Any]:
    """Return what decides the clips of such sources; for a fingerprint."""
    numbers = {"white": WHITE, "peak": PEAK, "knee": KNEE, "gamma": GAMMA}
    return {"rule": RULE, **numbers, "table": TABLE_SIZE, "shape": SHAPE_SIZE}


def tone_map_filters(graph: av.filter.Graph, *, transfer: int, matrix: int) -> list[FilterContext]:
    """Return filters that turn PQ or HLG frames of any pixel format into 8-bit BT.709.

    Args:
        graph: They are added to it, not linked.
        transfer: ``PQ`` or ``HLG``.
        matrix: The source's, as FFmpeg numbers it; an untagged one is taken for BT.2020.
    """
    flags = f"{EXACT_BICUBIC_NAMES}+full_chroma_int+full_chroma_inp"
    named = {"in_color_matrix": "bt2020"} if matrix == _UNTAGGED else {}
    with tempfile.TemporaryDirectory(prefix="tone_map_") as folder:
        shape, table = Path(folder) / "shape.cube", Path(folder) / "table.cube"
        for path, content in zip((shape, table), tables(transfer), strict=True):
            path.write_text(content, encoding="ascii")
        # Linear and trilinear are the same C code on every processor.
        lookups = [
            graph.add("lut1d", file=str(shape), interp="linear"),
            graph.add("lut3d", file=str(table), interp="trilinear"),
        ]
    return [
        graph.add("scale", flags=flags, **named),
        graph.add("format", "gbrp16le"),
        *lookups,
        graph.add("scale", flags=flags, out_color_matrix="bt709", out_range="tv"),
        graph.add("format", "yuv420p"),
    ]


def tables(transfer: int) -> tuple[str, str]:
    """Return the table of a channel and that of colours, as .cube files."""
    return _shape_file(transfer), _table_file(transfer)


@functools.cache
def _shape_file(transfer: int) -> str:
    """Return the table of a channel in the format of .cube files."""
    signal = np.minimum(np.linspace(0.0, 1.0, SHAPE_SIZE) / _SCALER_WHITE, 1.0)
    rows = [f"{value:.6f} {value:.6f} {value:.6f}" for value in _shaped(signal, transfer).tolist()]
    return "\n".join([f"LUT_1D_SIZE {SHAPE_SIZE}", *rows, ""])


@functools.cache
def _table_file(transfer: int) -> str:
    """Return the table of colours in the format of .cube files, red changing fastest."""
    steps = np.linspace(0.0, 1.0, TABLE_SIZE)
    blue, green, red = np.meshgrid(steps, steps, steps, indexing="ij")
    shaped = np.stack([red, green, blue], axis=-1).reshape(-1, 3)
    colours = _mapped(shaped, transfer) * _SCALER_WHITE
    # Five digits: finer than 8 bits need, coarser than what processors differ by.
    rows = [f"{r:.5f} {g:.5f} {b:.5f}" for r, g, b in colours.tolist()]
    return "\n".join([f"LUT_3D_SIZE {TABLE_SIZE}", *rows, ""])


def _shaped(signal: Colours, transfer: int) -> Colours:
    """Return light as a share of the peak, of HLG the scene's, to the power of 1 / 2.4."""
    light = np.minimum(_pq_light(signal) / PEAK, 1.0) if transfer == PQ else _hlg_scene(signal)
    return light ** (1 / GAMMA)


def _mapped(shaped: Colours, transfer: int) -> Colours:
    light = shaped**GAMMA
    if transfer == HLG:
        light = light * (light @ _LUMINANCE)[..., None] ** 0.2
    light = light * PEAK / WHITE
    luminance = (light @ _LUMINANCE)[..., None]
    factor = np.ones_like(luminance)
    np.divide(_moebius(luminance), luminance, out=factor, where=luminance > 0)
    return np.clip((light * factor) @ _BT2020_TO_BT709.T, 0.0, 1.0) ** (1 / GAMMA)


def _pq_light(signal: Colours) -> Colours:
    """Return cd/m2."""
    m1, m2 = 2610 / 16384, 2523 / 4096 * 128
    c1, c2, c3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
    root = signal ** (1 / m2)
    return 10000.0 * (np.maximum(root - c1, 0.0) / (c2 - c3 * root)) ** (1 / m1)


def _hlg_scene(signal: Colours) -> Colours:
    """Return light of the scene, 0 to 1."""
    a = 0.17883277
    b = 1 - 4 * a
    c = 0.5 - a * np.log(4 * a)
    return np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)


def _moebius(light: Colours) -> Colours:
    peak, j = PEAK / WHITE, KNEE
    a = -(j**2) * (peak - 1) / (j**2 - 2 * j + peak)
    b = (j**2 - 2 * j * peak + peak) / (peak - 1)
    bent = (b**2 + 2 * b * j + j**2) / (b - a) * (light + a) / (light + b)
    return np.minimum(np.where(light <= j, light, bent), 1.0)
