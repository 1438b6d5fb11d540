"""Makes clips whose frames are flat grey levels or colours, so that a picture names its frame."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

TICK = Fraction(1, 1000)


def flat_clip(
    path: Path,
    colors: Sequence[tuple[int, int, int]],
    *,
    size: tuple[int, int] = (64, 48),
    pts: Sequence[int] | None = None,
    rotation: int = 0,
    sample_aspect_ratio: Fraction | None = None,
) -> Path:
    """Write an H.264 mp4 with one frame per RGB colour; ``pts`` in milliseconds, default 25 fps.

    The upper half of each frame has the colour, the lower half is black: up can be told from down.
    """
    times = [40 * i for i in range(len(colors))] if pts is None else list(pts)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25, options={"crf": "1", "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.codec_context.time_base = TICK
        stream.codec_context.thread_count = 1
        if sample_aspect_ratio is not None:
            stream.codec_context.sample_aspect_ratio = sample_aspect_ratio
        if rotation:
            stream.set_display_rotation(-rotation)
        for color, time in zip(colors, times, strict=True):
            image = np.zeros((size[1], size[0], 3), np.uint8)
            image[: size[1] // 2] = color
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = time, TICK
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def grey_levels(count: int) -> list[tuple[int, int, int]]:
    """Return ``count`` grey levels as far apart as possible, darkest first."""
    return [(level, level, level) for level in np.linspace(20, 250, count).round().astype(int)]
