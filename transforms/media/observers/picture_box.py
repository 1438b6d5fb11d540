"""Where in a clip's frames the picture is, and how much of them black bars take up."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from transforms.media.luma import SAMPLED_PER_SECOND, Luma, Picture, sample_step
from transforms.media.observers.black_share import BLACK_LUMA

BAR_PERCENT = 99
"""A row or column belongs to a bar when at least so much of it is never lighter than black."""

Box = tuple[int, int, int, int]
"""Left, top, width and height in pixels."""


class PictureBox:
    """Takes about two frames per second and keeps, per pixel, the lightest value of all of them.

    Finds ``picture_left``, ``picture_top``, ``picture_width`` and ``picture_height``, the box
    inside the bars in pixels of the clip, and ``picture_share``, its area / that of the frame; all
    are 0 when everything is black.
    """

    def __init__(self, *, fps: float) -> None:
        self._step = sample_step(fps)
        self._lightest: Picture | None = None
        self._scale: Picture | None = None

    @staticmethod
    def definition() -> dict[str, float]:
        """Return the numbers that the score depends on."""
        return {"luma": BLACK_LUMA, "percent": BAR_PERCENT, "per_second": SAMPLED_PER_SECOND}

    def observe(self, luma: Luma, index: int) -> None:
        """Take in the frame if it is one of the sample."""
        if index % self._step:
            return
        if self._lightest is None:
            self._lightest, self._scale = luma.stored.copy(), luma.scale
        else:
            np.maximum(self._lightest, luma.stored, out=self._lightest)

    def finish(self) -> dict[str, float]:
        """Return the box and its share."""
        if self._lightest is None or self._scale is None:
            return {}
        left, top, width, height = picture_box(self._scale[self._lightest])
        return {
            "picture_left": float(left),
            "picture_top": float(top),
            "picture_width": float(width),
            "picture_height": float(height),
            "picture_share": width * height / self._lightest.size,
        }


def picture_box(lightest: Picture) -> Box:
    """Return the box without the bars at the four edges; all zeros when nothing is left.

    Rows are judged first, over the full width; columns then by what lies between those bars.

    Args:
        lightest: Lightest luma of each pixel over a number of frames, on the scale from 0 to 255.
            Shape (height, width).
    """
    black = lightest <= BLACK_LUMA
    top, bottom = _inside(black)
    if top == bottom:
        return 0, 0, 0, 0
    left, right = _inside(black[top:bottom].T)
    return left, top, right - left, bottom - top


def _inside(black: NDArray[np.bool_]) -> tuple[int, int]:
    """Return the first row that is no bar and the row behind the last one; equal if there is none.

    Args:
        black: Shape (rows, pixels of a row).
    """
    num_black = np.count_nonzero(black, axis=1)
    rows = np.flatnonzero(100 * num_black < BAR_PERCENT * black.shape[1])
    return (int(rows[0]), int(rows[-1]) + 1) if len(rows) else (0, 0)
