"""Which frames of a caption window a vision-language model sees, and how large they are."""

from __future__ import annotations

import math
from fractions import Fraction

MIN_FRAMES, MAX_FRAMES = 4, 768
"""Fewest and most frames of one window that a model is given (contract §1.13)."""
SIDE_FACTOR = 28
"""Sides of the frames are multiples of it: two merged patches of 14 pixels."""
MIN_PIXELS, MAX_PIXELS = 128 * SIDE_FACTOR**2, 768 * SIDE_FACTOR**2
"""Fewest and most pixels of one frame."""
MAX_VIDEO_PIXELS = 24_576 * SIDE_FACTOR**2
"""Pixels of all frames of a window together; two frames share a patch in time."""
_FRAMES_PER_PATCH = 2
MAX_ASPECT_RATIO = 200
"""How many times longer than the other one side of a frame may be."""


def num_caption_frames(num_frames: int, *, fps: float, sampling_fps: float) -> int:
    """Return how many frames of a window the model sees: even, between 4 and 768.

    Args:
        num_frames: Frames of the window, at least 1.
        fps: Frames per second of the clip.
        sampling_fps: Frames per second that the model is to see.

    Raises:
        ValueError: One of the arguments is not positive.

    Example:
        >>> num_caption_frames(256, fps=30, sampling_fps=2)
        18
        >>> num_caption_frames(30, fps=30, sampling_fps=2)
        4
    """
    if num_frames < 1 or fps <= 0 or sampling_fps <= 0:
        raise ValueError(
            "frames for a caption need num_frames >= 1, fps > 0 and sampling_fps > 0, "
            f"got num_frames={num_frames}, fps={fps}, sampling_fps={sampling_fps}"
        )
    wanted = 2 * round(num_frames / fps * sampling_fps / 2)
    return min(max(wanted, MIN_FRAMES), MAX_FRAMES)


def caption_frame_numbers(window: tuple[int, int], count: int) -> list[int]:
    """Return ``count`` frame numbers spread evenly over a window, its first and last among them.

    The same frame may stand there twice when the window is shorter than ``count``. Upstream's
    version 1 never showed the last frame (contract §1.13, Appendix A); this is version 2's rule.

    Args:
        window: Frames of the clip, half-open, not empty.
        count: At least 2.

    Example:
        >>> caption_frame_numbers((0, 30), 4)
        [0, 10, 19, 29]
    """
    start, last = window[0], window[1] - 1
    # Exact fractions, rounded half to even: the same on every machine.
    return [start + round(Fraction((last - start) * step, count - 1)) for step in range(count)]


def caption_frame_size(width: int, height: int, *, num_frames: int) -> tuple[int, int]:
    """Return width and height of the frames that the model sees (contract §1.13).

    The picture's proportions stay as near as multiples of 28 allow; a frame has between 100,352 and
    602,112 pixels, and all frames of a window about 19,267,584 at most.

    Args:
        width: Of the clip, in pixels.
        height: Of the clip, in pixels.
        num_frames: Frames of the window that the model sees.

    Raises:
        ValueError: One side is more than 200 times the other.

    Example:
        >>> caption_frame_size(1280, 720, num_frames=16)
        (1008, 560)
        >>> caption_frame_size(1280, 720, num_frames=120)
        (728, 420)
    """
    if max(width, height) > MAX_ASPECT_RATIO * min(width, height):
        raise ValueError(f"{width}x{height}: one side is more than 200 times the other")
    share = MAX_VIDEO_PIXELS / num_frames * _FRAMES_PER_PATCH
    most = max(min(MAX_PIXELS, share), math.floor(MIN_PIXELS * 1.05))
    sides = [_nearest(side) for side in (width, height)]
    if sides[0] * sides[1] > most:
        scale = math.sqrt(width * height / most)
        sides = [_multiple(math.floor(side / scale / SIDE_FACTOR)) for side in (width, height)]
    elif sides[0] * sides[1] < MIN_PIXELS:
        scale = math.sqrt(MIN_PIXELS / (width * height))
        sides = [_multiple(math.ceil(side * scale / SIDE_FACTOR)) for side in (width, height)]
    return sides[0], sides[1]


def _nearest(side: int) -> int:
    return _multiple(round(side / SIDE_FACTOR))


def _multiple(times: int) -> int:
    return max(1, times) * SIDE_FACTOR
