"""Bins of the dataset: which folder a sample belongs to (contract §2.4)."""

from __future__ import annotations

_RESOLUTIONS = ((1080, "1080"), (720, "720"))
"""Shortest side in pixels from which on, and name; below all of them: ``lt_720``."""

_ASPECT_RATIOS = ((0.65, "9_16"), (0.88, "3_4"), (1.16, "1_1"), (1.55, "4_3"), (10.0, "16_9"))
"""Upper limit of width over height, included, and name; the lower limit is the one before."""

_DURATIONS = ((5.0, 10.0, "5_10"), (10.0, 30.0, "10_30"), (30.0, float("inf"), "30_inf"))
"""First and last number of seconds, both included, and name; the first that fits counts."""


def resolution_bin(width: int, height: int) -> str:
    """Return the bin of a picture size in pixels by its shortest side.

    Example:
        >>> resolution_bin(1920, 1080), resolution_bin(640, 480)
        ('1080', 'lt_720')
    """
    shortest = min(width, height)
    return next((name for limit, name in _RESOLUTIONS if shortest >= limit), "lt_720")


def aspect_ratio_bin(width: int, height: int) -> str | None:
    """Return the bin of width over height, None when it is above 10.

    Example:
        >>> aspect_ratio_bin(1920, 1080), aspect_ratio_bin(10000, 100)
        ('16_9', None)
    """
    ratio = width / height
    return next((name for limit, name in _ASPECT_RATIOS if ratio <= limit), None)


def duration_bin(num_frames: int, framerate: float) -> str | None:
    """Return the bin of a clip's length, None when it is shorter than 5 s or has no frame rate.

    Example:
        >>> duration_bin(300, 30.0), duration_bin(900, 30.0), duration_bin(900, 0.0)
        ('5_10', '10_30', None)
    """
    if framerate <= 0:
        return None
    seconds = num_frames / framerate
    return next((name for low, high, name in _DURATIONS if low <= seconds <= high), None)


def frames_bin(start_frame: int, window_size: int) -> str:
    """Return the bin of a window by its first frame; an extended last window stays in it.

    Example:
        >>> frames_bin(0, 256), frames_bin(512, 256)
        ('0_255', '512_767')
    """
    first = start_frame // window_size * window_size
    return f"{first}_{first + window_size - 1}"
