"""Where to cut a video's black bars away, from the lightest and darkest a few frames have."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from transforms.media.luma import Picture
from transforms.media.observers.black_share import BLACK_LUMA
from transforms.media.observers.picture_box import BAR_PERCENT, Box, picture_box

FLAT_LUMA = 12
"""A bar does not change: so much may lie between the darkest and the lightest of a pixel."""
EDGE_LUMA = 48
"""The picture's rows beside a bar must be so light in the mean, or the bar may be a dark scene."""
EDGE_ROWS = 4
"""How many rows or columns beside the bar these are."""
UNEVEN_PERCENT = 2
"""Two opposite bars may differ by so much of the height or width, at least by ``UNEVEN_ROWS``."""
UNEVEN_ROWS = 4
MIN_KEPT_PERCENT = 25
"""Of the height and of the width so much is always kept: a portrait picture in a 16:9 frame has
31.6 %."""
MIN_KEPT_PIXELS = 64
"""No clip becomes lower or narrower than this."""


def definition() -> dict[str, int]:
    """Return the numbers that the box depends on."""
    return {
        "black_luma": BLACK_LUMA,
        "bar_percent": BAR_PERCENT,
        "flat_luma": FLAT_LUMA,
        "edge_luma": EDGE_LUMA,
        "edge_rows": EDGE_ROWS,
        "uneven_percent": UNEVEN_PERCENT,
        "uneven_rows": UNEVEN_ROWS,
        "min_kept_percent": MIN_KEPT_PERCENT,
        "min_kept_pixels": MIN_KEPT_PIXELS,
    }


@dataclass(frozen=True, slots=True)
class Extremes:
    """Lightest and darkest luma of each pixel over some frames. Shapes (height, width)."""

    lightest: Picture
    darkest: Picture

    def turned(self) -> Extremes:
        """Return both with rows for columns."""
        return Extremes(self.lightest.T, self.darkest.T)

    def rows(self, first: int, end: int) -> Extremes:
        """Return a stretch of rows."""
        return Extremes(self.lightest[first:end], self.darkest[first:end])


def crop_box(seen: Extremes) -> Box | None:
    """Return the box to keep, in stored pixels and even; None: nothing is to be cut away.

    Bars come in pairs: those above and below are cut away, or neither; so are those at the sides.
    A pair is cut away when both are black and flat, about equally wide, beside a picture that is
    clearly lighter, and enough is left. What is kept is rounded inwards to even pixels, because
    4:2:0 has one chroma sample per 2x2 pixels.

    Args:
        seen: Of frames from all over the video.
    """
    height, width = seen.lightest.shape
    left, top, box_width, box_height = picture_box(seen.lightest)
    if not box_width or not box_height:
        return None
    top, bottom = _sure(seen, top, top + box_height)
    left, right = _sure(seen.rows(top, bottom).turned(), left, left + box_width)
    top, bottom, left, right = _even(top, bottom, height) + _even(left, right, width)
    if (left, top, right, bottom) == (0, 0, width, height):
        return None
    return left, top, right - left, bottom - top


def upright_box(box: Box, *, size: tuple[int, int], rotation_degrees: int) -> Box:
    """Return the box in pixels of the picture as it is shown.

    Args:
        box: In stored pixels.
        size: Stored width and height.
        rotation_degrees: Clockwise turn that shows the picture upright.

    Example:
        >>> upright_box((0, 10, 64, 28), size=(64, 48), rotation_degrees=90)
        (10, 0, 28, 64)
    """
    left, top, width, height = box
    from_right, from_bottom = size[0] - left - width, size[1] - top - height
    return {
        0: box,
        90: (from_bottom, left, height, width),
        180: (from_right, from_bottom, width, height),
        270: (top, from_right, height, width),
    }[rotation_degrees]


def _sure(seen: Extremes, first: int, end: int) -> tuple[int, int]:
    """Return the rows to keep: ``first`` and ``end``, or all of them when that is not sure."""
    count = seen.lightest.shape[0]
    bars = (first, count - end)
    if bars == (0, 0):
        return 0, count
    uneven = max(UNEVEN_ROWS, count * UNEVEN_PERCENT // 100)
    is_sure = (
        min(bars) > 0
        and abs(bars[0] - bars[1]) <= uneven
        and 100 * (end - first) >= MIN_KEPT_PERCENT * count
        and end - first >= MIN_KEPT_PIXELS
        and _is_flat(seen.rows(0, first))
        and _is_flat(seen.rows(end, count))
        and _is_light(seen.lightest[first : first + EDGE_ROWS])
        and _is_light(seen.lightest[end - EDGE_ROWS : end])
    )
    return (first, end) if is_sure else (0, count)


def _is_flat(bar: Extremes) -> bool:
    num_flat = int(np.count_nonzero(bar.lightest - bar.darkest <= FLAT_LUMA))
    return 100 * num_flat >= BAR_PERCENT * bar.lightest.size


def _is_light(rows: NDArray[np.uint8]) -> bool:
    return int(rows.sum(dtype=np.int64)) >= EDGE_LUMA * rows.size


def _even(first: int, end: int, count: int) -> tuple[int, int]:
    """Return the rows rounded inwards to even ones; an edge without a bar stays."""
    return first + first % 2, end if end == count else end - end % 2
