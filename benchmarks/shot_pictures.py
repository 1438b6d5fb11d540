"""The pictures of ``docs/shots.md``: scores and boundaries over time, of drawn footage.

From the repository root: ``python -m benchmarks.shot_pictures`` writes ``docs/images/shots-*.png``.
It needs the extra ``models``.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from benchmarks.shot_footage import ENCODINGS, Event, Footage, Shot, frames_of
from benchmarks.shot_scores import Scored, Scorer, default_folder
from benchmarks.shot_sources import drawn_sources
from benchmarks.shot_thresholds import NETWORK_THRESHOLD, told_by
from transforms.sample.bitmap_font import text_mask
from transforms.sample.planes import Planes
from transforms.shots.hybrid import hybrid_thresholds

LENGTH = 80
SEED = 3
WIDTH, HEIGHT = 640, 300
_STRIP, _LEFT = 48, 10
_SHOWN = (-13, -8, -3, 0, 5, 12)
"""Frames of the strip, counted from the middle."""
_FEW_COLOURS = 0xE0
"""Drops what makes pictures of textures large."""
_TOP, _BOTTOM = 90, 270
_COLOURS = {
    "ONE HOT": (200, 40, 40),
    "MANY HOT": (240, 170, 60),
    "CHANGE": (50, 90, 200),
}
Image = NDArray[np.uint8]


def main() -> None:
    """Write the pictures."""
    scorer = Scorer(default_folder())
    images = Path(__file__).resolve().parent.parent / "docs" / "images"
    for name, footage in examples().items():
        video = scorer.footage(footage, ENCODINGS[0])
        write_png(images / f"shots-{name}.png", draw(video, strip_of(footage)))


def examples() -> dict[str, Footage]:
    """Return a cut, a dissolve and a flash, each in the middle of 80 frames."""
    first, second = list(drawn_sources(seed=SEED, count=2))
    half = LENGTH // 2
    two = [Shot(first, 0, 0, half), Shot(second, 0, half, LENGTH)]
    flash = Shot(first, 0, 0, LENGTH, ("flash", half, half + 1, 0.9))
    return {
        "cut": Footage("cut", two, [Event("cut", half, half)]),
        "dissolve": Footage("dissolve", two, [Event("dissolve", half - 8, half + 7)]),
        "flash": Footage("flash", [flash], [], [Event("flash", half, half + 1)]),
    }


def strip_of(footage: Footage) -> Image:
    """Return some frames beside each other."""
    numbers = [LENGTH // 2 + offset for offset in _SHOWN]
    wide = (WIDTH - 2 * _LEFT) // len(numbers)
    parts = [
        _rgb(planes, wide) for number, planes in enumerate(frames_of(footage)) if number in numbers
    ]
    return np.concatenate(parts, 1)


def _rgb(planes: Planes, wide: int) -> Image:
    joined = np.concatenate([plane.ravel() for plane in planes])
    frame = av.VideoFrame.from_ndarray(joined.reshape(-1, planes.y.shape[1]), format="yuv420p")
    small = frame.reformat(wide - wide % 2, _STRIP, format="rgb24").to_ndarray().astype(np.uint8)
    return np.asarray(small & _FEW_COLOURS | 0x10, np.uint8)


def draw(video: Scored, strip: Image) -> Image:
    """Return the picture of one video."""
    picture = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    picture[_LEFT : _LEFT + _STRIP, _LEFT : _LEFT + strip.shape[1]] = strip
    for first, last in told_by(video, hybrid_thresholds()):
        picture[_TOP : _BOTTOM + 1, _across(first - 0.5) : _across(last + 0.5)] = (205, 235, 205)
    threshold = _BOTTOM - round(NETWORK_THRESHOLD * (_BOTTOM - _TOP))
    picture[threshold, _LEFT : WIDTH - _LEFT : 4] = 150
    picture[_BOTTOM, _LEFT : WIDTH - _LEFT] = 90
    curves: tuple[NDArray[np.floating[Any]], ...] = (
        video.scores[:, 0],
        video.scores[:, 1],
        video.changes.change / 100,
    )
    left = _LEFT
    for (name, colour), values in zip(_COLOURS.items(), curves, strict=True):
        _curve(picture, values.tolist(), colour)
        left = _write(picture, name, left, colour)
    _write(picture, "BOUNDARY", left, (90, 160, 90))
    return picture


def _across(frame: float) -> int:
    return _LEFT + round(frame * (WIDTH - 2 * _LEFT) / LENGTH)


def _curve(picture: Image, values: Sequence[float], colour: tuple[int, int, int]) -> None:
    heights = [_BOTTOM - round(min(value, 1) * (_BOTTOM - _TOP)) for value in values]
    for column in range(_across(0), _across(len(values) - 1)):
        where = (column - _LEFT) * LENGTH / (WIDTH - 2 * _LEFT)
        now, then = (np.interp(where + step, range(len(heights)), heights) for step in (0, 0.13))
        low, high = sorted((round(now), round(then)))
        picture[low - 1 : high + 1, column] = colour


def _write(picture: Image, text: str, left: int, colour: tuple[int, int, int]) -> int:
    """Write a line below; return where the next may begin."""
    mask = text_mask(text, dot_px=2)
    height, width = mask.shape
    top = HEIGHT - height - 6
    picture[top : top + height, left : left + width][mask] = colour
    return left + width + 24


def write_png(path: Path, picture: Image) -> None:
    """Write an RGB picture."""
    codec = av.CodecContext.create("png", "w")
    codec.width, codec.height, codec.pix_fmt = WIDTH, HEIGHT, "rgb24"
    codec.options = {"compression_level": "9", "pred": "none"}
    frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
    codec.time_base = frame.time_base = Fraction(1, 25)
    packets = [*codec.encode(frame), *codec.encode(None)]
    path.write_bytes(b"".join(bytes(packet) for packet in packets))


if __name__ == "__main__":
    main()
