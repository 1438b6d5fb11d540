"""Caption windows: the stretches of a clip that get one caption and one training sample each."""

from __future__ import annotations

MIN_WINDOW_FRAMES = 4
"""A clip with fewer frames has no window (contract §1.13)."""


def caption_windows(num_frames: int, *, size: int, remainder: int) -> list[tuple[int, int]]:
    """Return the caption windows of a clip, in order, as half-open frame intervals.

    The windows lie end to end and cover the whole clip (contract §1.13).

    Args:
        num_frames: Decoded frames of the clip. Fewer than four make no window.
        size: Length of a full window in frames, at least 1.
        remainder: Frames the rest behind the last full window must have to be its own window;
            a shorter rest extends the last window.

    Raises:
        ValueError: ``num_frames`` is negative, or ``size`` or ``remainder`` is below 1.

    Example:
        >>> caption_windows(640, size=256, remainder=128)
        [(0, 256), (256, 512), (512, 640)]
        >>> caption_windows(600, size=256, remainder=128)
        [(0, 256), (256, 600)]
    """
    if num_frames < 0 or size < 1 or remainder < 1:
        raise ValueError(
            "caption windows need num_frames >= 0, size >= 1 and remainder >= 1, "
            f"got num_frames={num_frames}, size={size}, remainder={remainder}"
        )
    if num_frames < MIN_WINDOW_FRAMES:
        return []
    if num_frames <= size:
        return [(0, num_frames)]
    starts = list(range(0, num_frames, size))
    if num_frames - starts[-1] < min(remainder, size):
        starts.pop()
    return list(zip(starts, [*starts[1:], num_frames], strict=True))


def inclusive_window(window: tuple[int, int]) -> tuple[int, int]:
    """Return a half-open window as upstream's first and last frame number.

    Upstream's files, sample keys and preview names count the last frame in; the code does not.
    This is the only place that turns one into the other.

    Raises:
        ValueError: The window is empty or begins before frame 0.

    Example:
        >>> inclusive_window((256, 512))
        (256, 511)
    """
    start, end = window
    if not 0 <= start < end:
        raise ValueError(f"a window needs 0 <= start < end, got [{start}, {end})")
    return start, end - 1
