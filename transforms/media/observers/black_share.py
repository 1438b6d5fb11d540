"""How much of a clip is black."""

from __future__ import annotations

import numpy as np

from transforms.media.luma import GRID_SIDE, Luma

BLACK_LUMA = 25
"""A pixel is black up to this luma of 255: a tenth, as FFmpeg's ``blackdetect`` has it."""
BLACK_PIXEL_PERCENT = 98
"""A frame is black when at least so much of its grid is."""


class BlackShare:
    """Counts black frames, all of which are looked at on their grid.

    Finds ``black_share``: black frames / frames.
    """

    def __init__(self, *, fps: float) -> None:
        self._num_frames = self._num_black = 0

    @staticmethod
    def definition() -> dict[str, float]:
        """Return the numbers that the score depends on."""
        return {"luma": BLACK_LUMA, "percent": BLACK_PIXEL_PERCENT, "grid": GRID_SIDE}

    def observe(self, luma: Luma, index: int) -> None:
        """Count the frame."""
        grid = luma.grid
        num_black = np.count_nonzero(grid <= BLACK_LUMA)
        self._num_frames += 1
        self._num_black += int(100 * num_black >= BLACK_PIXEL_PERCENT * grid.size)

    def finish(self) -> dict[str, float]:
        """Return the share."""
        if not self._num_frames:
            return {}
        return {"black_share": self._num_black / self._num_frames}
