"""The tiny frames that shot detectors look at: every frame of a stretch, 48 x 27 pixels, RGB."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from transforms.media.decode import DecodeCounters, decode_frames
from transforms.media.packet_index import PacketIndex
from transforms.media.scaling import EXACT_BICUBIC, NEAREST
from transforms.records import VideoFacts

WIDTH, HEIGHT = 48, 27
_COARSE_SIZE = (192, 108)


def small_frames(
    source: Path,
    facts: VideoFacts,
    index: PacketIndex,
    *,
    frames: tuple[int, int],
    all_pixels: bool,
    counters: DecodeCounters,
) -> NDArray[np.uint8]:
    """Decode a stretch and return its frames, made small.

    Args:
        source: Local file.
        facts: What ``probe`` found in it.
        index: Its packet index.
        frames: Half-open range of frame numbers, within the video, not empty.
        all_pixels: Whether every pixel counts, as upstream's do: as dear as decoding. Else 192x108
            are picked, of frames not all deblocked: TransNetV2's scores change by less than 0.01.
        counters: Counts what was decoded; added to.

    Returns:
        Shape ``(T, 27, 48, 3)``, uint8, RGB; not turned upright.

    Raises:
        MediaError: As ``decode_frames``.
    """
    start, end = _times(frames, index)
    decoded = decode_frames(
        str(source),
        facts,
        index,
        start_pts=start,
        end_pts=end,
        counters=counters,
        deblocks_all=all_pixels,
    )
    pictures = np.empty((frames[1] - frames[0], HEIGHT, WIDTH, 3), np.uint8)
    for number, picture in enumerate(map(_Shrinker(facts, all_pixels=all_pixels), decoded)):
        pictures[number] = picture
    return pictures


def _times(frames: tuple[int, int], index: PacketIndex) -> tuple[int, int]:
    first, behind = frames
    end_pts = int(index.pts[behind]) if behind < len(index.pts) else index.end_pts
    return int(index.pts[first]), end_pts


class _Shrinker:
    """Makes the small picture of each frame of one video."""

    def __init__(self, facts: VideoFacts, *, all_pixels: bool) -> None:
        self._pick, self._shrink = VideoReformatter(), VideoReformatter()
        is_larger = facts.width > _COARSE_SIZE[0] and facts.height > _COARSE_SIZE[1]
        self._picks = is_larger and not all_pixels

    def __call__(self, frame: av.VideoFrame) -> NDArray[np.uint8]:
        # With one thread: handing so few pixels to others takes longer than scaling them.
        if self._picks:
            frame = self._pick.reformat(frame, *_COARSE_SIZE, interpolation=NEAREST, threads=1)
        small = self._shrink.reformat(
            frame, WIDTH, HEIGHT, format="rgb24", interpolation=EXACT_BICUBIC, threads=1
        )
        return cast(NDArray[np.uint8], small.to_ndarray())


def save_frames(pictures: NDArray[np.uint8], path: Path) -> None:
    """Write pictures to a ``.npy`` file, which appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{uuid.uuid4()}.npy")
    try:
        with temporary.open("wb") as file:
            np.save(file, pictures, allow_pickle=False)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
