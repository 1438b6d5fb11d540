"""The frames of each caption window that a model is to see, as arrays in scratch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from transforms.annotate.caption_frames import caption_frame_numbers
from transforms.annotate.windows import inclusive_window
from transforms.media.observers.observer import Findings
from transforms.media.scaling import EXACT_BICUBIC


@dataclass(frozen=True, slots=True)
class WindowFramesPlan:
    """What is to be seen of one window."""

    window: tuple[int, int]
    """Frames of the clip, half-open."""
    count: int
    """Frames to be seen."""
    size: tuple[int, int]
    """Width and height of a frame in pixels."""


def frames_name(window: tuple[int, int]) -> str:
    """Return the name of the file with a window's frames.

    Example:
        >>> frames_name((0, 256))
        '0_255.npy'
    """
    first, last = inclusive_window(window)
    return f"{first}_{last}.npy"


class WindowFrames:
    """Writes ``{first}_{last}.npy`` for each window: uint8 RGB, shape (count, height, width, 3).

    One frame is held at a time: the files are mapped, not built in memory.

    Args:
        plans: One per window, windows increasing and disjoint.
        folder: Existing folder for the files.
    """

    def __init__(self, plans: Sequence[WindowFramesPlan], folder: Path) -> None:
        self._folder = folder
        self._plans = list(plans)
        self._reformatter = VideoReformatter()
        self._arrays: dict[int, NDArray[np.uint8]] = {}
        self._wanted: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for place, plan in enumerate(self._plans):
            for position, number in enumerate(caption_frame_numbers(plan.window, plan.count)):
                self._wanted[number].append((place, position))

    def observe(self, frame: av.VideoFrame, index: int) -> None:
        """Keep the frame where it is wanted."""
        for place, position in self._wanted.get(index, ()):
            picture = self._picture(frame, self._plans[place].size)
            self._array(place)[position] = picture
            if position + 1 == self._plans[place].count:
                # What is written goes to the file; the mapping goes.
                del self._arrays[place]

    def finish(self) -> Findings:
        """Return nothing: the names follow from the windows."""
        return Findings()

    def _array(self, place: int) -> NDArray[np.uint8]:
        if place not in self._arrays:
            plan = self._plans[place]
            width, height = plan.size
            self._arrays[place] = np.lib.format.open_memmap(
                self._folder / frames_name(plan.window),
                mode="w+",
                dtype=np.uint8,
                shape=(plan.count, height, width, 3),
            )
        return self._arrays[place]

    def _picture(self, frame: av.VideoFrame, size: tuple[int, int]) -> NDArray[np.uint8]:
        shown = self._reformatter.reformat(
            frame, *size, format="rgb24", interpolation=EXACT_BICUBIC, threads=1
        )
        return np.asarray(shown.to_ndarray(), dtype=np.uint8)
