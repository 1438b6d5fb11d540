"""How much of a clip stands still."""

from __future__ import annotations

import numpy as np

from transforms.media.luma import GRID_SIDE, Luma, Picture

STILL_PER_MILLE = 1
"""A frame is frozen when its grid differs from the one before by at most so many thousandths of
the scale in the mean: -60 dB, as FFmpeg's ``freezedetect`` has it."""
STILL_LUMA = 16
"""And by no more than this in any pixel: something small that moves is no standing still."""


class FrozenShare:
    """Counts frames that equal, or nearly equal, the frame before; on the grid of every frame.

    Finds ``frozen_share``: frozen frames / (frames - 1); nothing for a single frame.
    """

    def __init__(self, *, fps: float) -> None:
        self._before: Picture | None = None
        self._num_compared = self._num_frozen = 0

    @staticmethod
    def definition() -> dict[str, float]:
        """Return the numbers that the score depends on."""
        return {"per_mille": STILL_PER_MILLE, "luma": STILL_LUMA, "grid": GRID_SIDE}

    def observe(self, luma: Luma, index: int) -> None:
        """Compare the frame with the one before."""
        grid, before = luma.grid, self._before
        self._before = grid
        if before is None:
            return
        difference = np.maximum(grid, before) - np.minimum(grid, before)
        is_frozen = (
            int(difference.max()) <= STILL_LUMA
            and 1000 * int(difference.sum()) <= STILL_PER_MILLE * 255 * difference.size
        )
        self._num_compared += 1
        self._num_frozen += int(is_frozen)

    def finish(self) -> dict[str, float]:
        """Return the share."""
        if not self._num_compared:
            return {}
        return {"frozen_share": self._num_frozen / self._num_compared}
