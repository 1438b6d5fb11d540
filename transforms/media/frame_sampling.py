"""Which frames of a clip a model is given: upstream's policy "sequence" (contract §1.7)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

from transforms.media.look_settings import FrameSettings

MAX_FPS = 20
"""Highest rate at which a clip is sampled that is short of frames (contract §1.12)."""


def sequence_frames(pts: Sequence[int], time_base: Fraction, *, fps: Fraction) -> list[int]:
    """Return frame numbers on a uniform grid of time, from the first PTS to the last.

    Grid points lie ``1 / fps`` seconds apart, up to half such a step behind the last PTS,
    exclusive, so that the end of the clip is seen. Each gives the nearest frame, the earlier one of
    two; a frame that is nearest to several is there several times.

    Args:
        pts: Of all frames in ticks of ``time_base``, strictly ascending, not empty.
        time_base: Seconds per tick.
        fps: Grid points per second, more than 0.

    Example:
        >>> sequence_frames(range(25), Fraction(1, 10), fps=Fraction(2))
        [0, 5, 10, 15, 20, 24]
        >>> sequence_frames([0, 1, 2], Fraction(1, 2), fps=Fraction(4))
        [0, 0, 1, 1, 2]
    """
    step = 1 / (fps * time_base)
    num_points = math.ceil((pts[-1] - pts[0]) / step + Fraction(1, 2))
    numbers, number = [], 0
    for point in range(num_points):
        # Twice the time of the point, in whole numbers: exact, and fast.
        doubled = 2 * (pts[0] * step.denominator + point * step.numerator)
        while number + 1 < len(pts):
            if doubled <= (pts[number] + pts[number + 1]) * step.denominator:
                break
            number += 1
        numbers.append(number)
    return numbers


def frames_to_sample(
    pts: Sequence[int], time_base: Fraction, settings: FrameSettings
) -> list[int] | None:
    """Return the frames that a model is given, None when the clip has too few for it.

    A clip that gives fewer than the model needs is sampled at twice the rate, again and again up to
    20 frames per second.
    """
    fps = Fraction(settings.fps)
    while True:
        numbers = sequence_frames(pts, time_base, fps=fps)
        if len(numbers) >= settings.min_frames:
            return numbers
        if fps >= MAX_FPS:
            return None
        fps = min(2 * fps, Fraction(MAX_FPS))


def sampled_size(width: int, height: int, settings: FrameSettings) -> tuple[int, int]:
    """Return width and height of the frames that a model is given.

    Example:
        >>> sampled_size(1280, 720, FrameSettings(short_side=224))
        (398, 224)
        >>> sampled_size(1280, 720, FrameSettings(square=224, short_side=100))
        (224, 224)
        >>> sampled_size(320, 180, FrameSettings(short_side=224))
        (320, 180)
    """
    if settings.square > 0:
        return settings.square, settings.square
    short = min(width, height)
    if not 0 < settings.short_side < short:
        return width, height
    scale = Fraction(settings.short_side, short)
    return max(1, round(width * scale)), max(1, round(height * scale))
