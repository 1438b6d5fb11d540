"""Keeps some of a clip's frames for a model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import IO

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from transforms.media.clip_files import embedding_frames
from transforms.media.frame_sampling import frames_to_sample, sampled_size
from transforms.media.look_settings import FrameSettings
from transforms.media.observers.observer import Findings, Observer
from transforms.media.scaling import EXACT_BICUBIC


class SampledFrames:
    """Writes frames to a ``.npy`` file: uint8 RGB, shape (n, height, width, 3).

    Holds one frame. The file is whole when it appears under its name.

    Args:
        numbers: Frame numbers, not empty, never descending; one that stands there twice is written
            twice.
        size: Width and height of the written frames in pixels.
        path: The file; its folder exists.
    """

    def __init__(self, numbers: Sequence[int], *, size: tuple[int, int], path: Path) -> None:
        self._times = Counter(numbers)
        self._num_frames = len(numbers)
        self._size = size
        self._path = path
        self._unfinished = path.with_suffix(".part")
        self._reformatter = VideoReformatter()
        self._file: IO[bytes] | None = None

    def observe(self, frame: av.VideoFrame, index: int) -> None:
        """Write the frame as often as it is asked for."""
        times = self._times.get(index, 0)
        if not times:
            return
        picture = self._reformatter.reformat(
            frame, *self._size, format="rgb24", interpolation=EXACT_BICUBIC, threads=1
        )
        data = picture.to_ndarray().tobytes()
        for _ in range(times):
            self._open().write(data)

    def finish(self) -> Findings:
        """Give the file its name."""
        self._open().close()
        self._unfinished.replace(self._path)
        return Findings()

    def _open(self) -> IO[bytes]:
        if self._file is None:
            self._file = self._unfinished.open("wb")
            width, height = self._size
            header = {
                "descr": np.lib.format.dtype_to_descr(np.dtype(np.uint8)),
                "fortran_order": False,
                "shape": (self._num_frames, height, width, 3),
            }
            np.lib.format.write_array_header_1_0(self._file, header)
        return self._file


class TooFewFrames:
    """Stands for frames that a clip does not have; notes it."""

    def observe(self, frame: av.VideoFrame, index: int) -> None:
        """Do nothing."""

    def finish(self) -> Findings:
        """Return the note."""
        return Findings(notes={"embedding_missing": "too_few_frames"})


def embedding_observer(
    pts: Sequence[int],
    time_base: Fraction,
    size: tuple[int, int],
    settings: FrameSettings,
    folder: Path,
) -> Observer:
    """Return the observer that keeps the frames that a model embeds.

    Args:
        pts: Of the clip's frames in ticks of ``time_base``, ascending.
        time_base: Seconds per tick.
        size: Width and height of the clip in pixels.
        settings: Which frames, and how large.
        folder: Where they are written; made.
    """
    numbers = frames_to_sample(pts, time_base, settings)
    if numbers is None:
        return TooFewFrames()
    folder.mkdir(parents=True, exist_ok=True)
    written = sampled_size(*size, settings)
    return SampledFrames(numbers, size=written, path=embedding_frames(folder))
