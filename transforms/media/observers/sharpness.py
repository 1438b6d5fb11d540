"""How sharp a clip is."""

from __future__ import annotations

import statistics

import numpy as np

from transforms.media.luma import SAMPLED_PER_SECOND, SMALL_SIDE, Luma, Picture, sample_step

_MIN_SIDE = 3


class Sharpness:
    """Measures about two frames per second on their small picture.

    Clips are measured at about one size, so that the same scene gives about the same number from a
    large and from a small video; what is blurred by less than a pixel of the small picture (1/180
    of the shorter side) counts as sharp.

    Finds ``sharpness``: median over the sampled frames of the variance of the Laplacian, in luma
    values squared; nothing for a picture of less than 3 pixels in width or height.
    """

    def __init__(self, *, fps: float) -> None:
        self._step = sample_step(fps)
        self._variances: list[float] = []

    @staticmethod
    def definition() -> dict[str, float]:
        """Return the numbers that the score depends on."""
        return {"side": SMALL_SIDE, "per_second": SAMPLED_PER_SECOND}

    def observe(self, luma: Luma, index: int) -> None:
        """Measure the frame if it is one of the sample."""
        if index % self._step:
            return
        picture = luma.small
        if min(picture.shape) >= _MIN_SIDE:
            self._variances.append(laplacian_variance(picture))

    def finish(self) -> dict[str, float]:
        """Return the median."""
        if not self._variances:
            return {}
        return {"sharpness": statistics.median(self._variances)}


def laplacian_variance(picture: Picture) -> float:
    """Return the variance of ``up + down + left + right - 4 x middle`` over all inner pixels.

    Computed in whole numbers; only the last division rounds.

    Args:
        picture: Shape (H, W), both at least 3.
    """
    values = picture.astype(np.int16)
    laplacian = values[:-2, 1:-1] + values[2:, 1:-1]
    laplacian += values[1:-1, :-2]
    laplacian += values[1:-1, 2:]
    laplacian -= 4 * values[1:-1, 1:-1]
    count, total = laplacian.size, int(laplacian.sum(dtype=np.int64))
    # Not np.dot: it would start threads.
    squares = int(np.einsum("ij,ij->", laplacian, laplacian, dtype=np.int64))
    return (count * squares - total * total) / (count * count)
