"""How bright a clip is."""

from __future__ import annotations

from transforms.media.luma import GRID_SIDE, Luma


class Brightness:
    """Adds up the luma of every frame's grid.

    Finds ``brightness``: mean luma over frames and grid pixels, 0.0 (black) to 1.0 (white).
    """

    def __init__(self, *, fps: float) -> None:
        self._sum = self._num_pixels = 0

    @staticmethod
    def definition() -> dict[str, float]:
        """Return the numbers that the score depends on."""
        return {"grid": GRID_SIDE}

    def observe(self, luma: Luma, index: int) -> None:
        """Add the frame."""
        grid = luma.grid
        self._sum += int(grid.sum())
        self._num_pixels += grid.size

    def finish(self) -> dict[str, float]:
        """Return the mean."""
        if not self._num_pixels:
            return {}
        return {"brightness": self._sum / (255 * self._num_pixels)}
