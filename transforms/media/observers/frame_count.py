"""Counts the frames of a clip and insists that each of them is whole and of one size."""

from __future__ import annotations

import av

from transforms.errors import MediaError
from transforms.media.observers.observer import Findings


class FrameCount:
    """Counts decoded frames and checks them against what the file holds.

    Args:
        name: The clip, for error messages.
        num_expected: Video packets of the file that are to be shown.
        size: Width and height in pixels that the container states.
    """

    def __init__(self, *, name: str, num_expected: int, size: tuple[int, int]) -> None:
        self._name = name
        self._num_expected = num_expected
        self._size = size
        self.num_frames = 0

    def observe(self, frame: av.VideoFrame, index: int) -> None:
        """Count one frame.

        Raises:
            MediaError: ``clip_does_not_decode``: the frame is corrupt, of another size, or without
                a time.
        """
        if frame.is_corrupt:
            raise MediaError(
                "clip_does_not_decode", f"frame {index} of {self._name} is decoded with errors"
            )
        if (frame.width, frame.height) != self._size:
            raise MediaError(
                "clip_does_not_decode",
                f"frame {index} of {self._name} has {frame.width}x{frame.height} pixels, "
                f"the file states {self._size[0]}x{self._size[1]}",
            )
        if frame.pts is None:
            raise MediaError(
                "clip_does_not_decode", f"frame {index} of {self._name} has no presentation time"
            )
        self.num_frames += 1

    def finish(self) -> Findings:
        """Compare the count.

        Raises:
            MediaError: ``clip_does_not_decode``: packets and decoded frames differ in number.
        """
        if self.num_frames != self._num_expected:
            raise MediaError(
                "clip_does_not_decode",
                f"{self._name} holds {self._num_expected} video packets, "
                f"but {self.num_frames} frames could be decoded",
            )
        return Findings()
