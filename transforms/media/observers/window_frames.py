"""The frames of each caption window that a model is to see, as arrays in scratch."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from transforms.annotate.caption_frames import (
    MAX_ASPECT_RATIO,
    caption_frame_numbers,
    caption_frame_size,
    num_caption_frames,
)
from transforms.annotate.windows import inclusive_window
from transforms.errors import MediaError
from transforms.media.observers.observer import Findings
from transforms.media.scaling import EXACT_BICUBIC

UNKNOWN_FPS = 24.0
"""Frames per second of a clip whose container does not say."""


@dataclass(frozen=True, slots=True)
class WindowFramesPlan:
    """What is to be seen of one window."""

    window: tuple[int, int]
    """Frames of the clip, half-open."""
    numbers: tuple[int, ...]
    """Frames of the clip to be seen, not decreasing."""
    size: tuple[int, int]
    """Width and height of a frame in pixels."""

    @property
    def name(self) -> str:
        """Name of the file with the window's frames, for example ``0_255.npy``."""
        first, last = inclusive_window(self.window)
        return f"{first}_{last}.npy"


def frames_plan(
    window: tuple[int, int], *, size: tuple[int, int], fps: float, sampling_fps: float
) -> WindowFramesPlan:
    """Return which frames of a window are to be seen (contract §1.13).

    Args:
        window: Frames of the clip, half-open.
        size: Width and height of the clip in pixels.
        fps: Frames per second of the clip; 0: unknown.
        sampling_fps: Frames per second that the model is to see.

    Raises:
        MediaError: ``shape_not_seen``: one side of the clip is more than 200 times the other.
    """
    start, end = window
    if max(size) > MAX_ASPECT_RATIO * min(size):
        raise MediaError(
            "shape_not_seen",
            f"{size[0]}x{size[1]}: caption models see no pictures of which one side is more than "
            f"{MAX_ASPECT_RATIO} times the other",
        )
    count = num_caption_frames(end - start, fps=fps or UNKNOWN_FPS, sampling_fps=sampling_fps)
    numbers = tuple(caption_frame_numbers(window, count))
    return WindowFramesPlan(window, numbers, caption_frame_size(*size, num_frames=count))


class WindowFrames:
    """Writes ``{first}_{last}.npy`` for each window: uint8 RGB, shape (frames, height, width, 3).

    One frame is held at a time. A file is whole when it appears under its name.

    Args:
        plans: One per window, windows increasing and disjoint.
        folder: Existing folder for the files.
    """

    def __init__(self, plans: Sequence[WindowFramesPlan], folder: Path) -> None:
        self._folder = folder
        self._reformatter = VideoReformatter()
        self._plans = deque(plans)
        self._file: BinaryIO | None = None
        self._num_written = 0

    def observe(self, frame: av.VideoFrame, index: int) -> None:
        """Write the frame if it is wanted, as often as it is."""
        if not self._plans:
            return
        plan = self._plans[0]
        times = plan.numbers.count(index)
        if not times:
            return
        shown = self._reformatter.reformat(
            frame, *plan.size, format="rgb24", interpolation=EXACT_BICUBIC, threads=1
        )
        self._write(plan, shown.to_ndarray().tobytes(), times)

    def finish(self) -> Findings:
        """Return nothing of the clip: the names of the files follow from the windows."""
        if self._file is not None:
            # The clip ended within a window: another observer says so.
            self._file.close()
        return Findings()

    def _write(self, plan: WindowFramesPlan, picture: bytes, times: int) -> None:
        part = self._folder / f"{plan.name}.part"
        if self._file is None:
            self._file = part.open("wb")
            self._num_written = 0
            _write_header(self._file, plan)
        for _ in range(times):
            self._file.write(picture)
        self._num_written += times
        if self._num_written == len(plan.numbers):
            self._file.close()
            self._file = None
            part.replace(self._folder / plan.name)
            self._plans.popleft()


def _write_header(file: BinaryIO, plan: WindowFramesPlan) -> None:
    width, height = plan.size
    np.lib.format.write_array_header_1_0(
        file,
        {
            "descr": np.lib.format.dtype_to_descr(np.dtype(np.uint8)),
            "fortran_order": False,
            "shape": (len(plan.numbers), height, width, 3),
        },
    )
