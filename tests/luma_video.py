"""Videos and frames of which every luma value is known before they are encoded."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

Luma = NDArray[np.uint8]
"""Stored luma, shape (height, width)."""


def luma_frame(luma: Luma, *, full_range: bool = False) -> av.VideoFrame:
    """Return a grey yuv420p frame with exactly these stored values."""
    height, width = luma.shape
    frame = av.VideoFrame(width, height, "yuv420p")
    _fill(frame.planes[0], luma)
    for plane in frame.planes[1:]:
        _fill(plane, np.full((plane.height, plane.width), 128, np.uint8))
    frame.color_range = 2 if full_range else 1
    return frame


def _fill(plane: av.video.plane.VideoPlane, values: Luma) -> None:
    padded = np.zeros((plane.buffer_size // plane.line_size, plane.line_size), np.uint8)
    padded[: values.shape[0], : values.shape[1]] = values
    plane.update(padded.tobytes())


def luma_video(
    path: Path, pictures: Iterable[Luma], *, keyframe_every: int = 25, rotation: int = 0
) -> Path:
    """Write a lossless H.264 video of 25 frames per second."""
    with av.open(str(path), "w") as out:
        options = {"preset": "ultrafast", "qp": "0"}
        stream = out.add_stream("libx264", rate=25, options=options)
        stream.pix_fmt = "yuv420p"
        stream.codec_context.gop_size = keyframe_every
        stream.codec_context.thread_count = 1
        stream.codec_context.time_base = Fraction(1, 25)
        for number, picture in enumerate(pictures):
            if number == 0:
                stream.height, stream.width = picture.shape
                if rotation:
                    stream.set_display_rotation(-rotation)
            frame = luma_frame(picture)
            frame.pts, frame.time_base = number, Fraction(1, 25)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def moving(number: int, *, size: tuple[int, int], low: int = 60, high: int = 200) -> Luma:
    """Return a picture of broad diagonal stripes that move by two pixels per frame."""
    width, height = size
    phase = np.arange(height)[:, None] + np.arange(width)[None, :] + 2 * number
    return (low + (high - low) * (phase % 64 < 32)).astype(np.uint8)


def barred(picture: Luma, *, box: tuple[int, int, int, int], black: int = 16) -> Luma:
    """Return the picture with everything outside the box (left, top, width, height) black."""
    left, top, width, height = box
    framed = np.full_like(picture, black)
    inside = np.s_[top : top + height, left : left + width]
    framed[inside] = picture[inside]
    return framed
