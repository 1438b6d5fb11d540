"""The container's own index of frames and keyframes: no media data is read for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO

import av
import numpy as np
from numpy.typing import NDArray

from transforms.media.open_input import open_input, unreadable
from transforms.records import VideoFacts


@dataclass(frozen=True)
class IndexEntries:
    """A copy of a stream's index entries in the container's order.

    Copied at once because PyAV's entries point into memory that FFmpeg moves while it reads on.
    """

    timestamp: NDArray[np.int64]
    """Ticks, shape (N,): DTS in mp4 and avi, PTS in matroska."""
    is_keyframe: NDArray[np.bool_]
    """Shape (N,)."""
    is_shown: NDArray[np.bool_]
    """False where an edit list hides the frame. Shape (N,)."""
    end_of_data: int
    """Byte position behind the farthest entry; 0 when there are none."""

    @classmethod
    def of(cls, stream: av.VideoStream) -> IndexEntries:
        """Return the entries as they are now."""
        entries = stream.index_entries
        return cls(
            timestamp=np.array([entry.timestamp for entry in entries], dtype=np.int64),
            is_keyframe=np.array([entry.is_keyframe for entry in entries], dtype=np.bool_),
            is_shown=np.array([not entry.is_discard for entry in entries], dtype=np.bool_),
            end_of_data=max((entry.pos + entry.size for entry in entries), default=0),
        )

    def __len__(self) -> int:
        """Return the number of entries."""
        return len(self.timestamp)


def full_index(
    container: av.container.InputContainer, stream: av.VideoStream, *, container_name: str
) -> IndexEntries:
    """Return the complete index; the container's read position is lost.

    FFmpeg reads matroska's cues only at the first seek, so there a seek to the start is done.
    """
    if container_name == "matroska":
        container.seek(0, stream=stream, backward=True, any_frame=False)
    return IndexEntries.of(stream)


def has_keyframe_index(
    container_name: str, *, before: IndexEntries, full: IndexEntries, header_frames: int
) -> bool:
    """Whether the keyframes of ``full`` are all that the file has.

    mp4 and mov: the sample table is there (fragmented files have none, their frames are found by
    reading on). matroska: the cues brought entries that reading the first packets (``before``)
    had not; a file without cues has only what was read. Other containers: never.
    """
    if container_name in ("mp4", "mov"):
        return header_frames > 0 and bool((full.is_keyframe & full.is_shown).any())
    return container_name == "matroska" and len(full) > len(before)


def keyframe_pts(source: str | BinaryIO, facts: VideoFacts) -> NDArray[np.int64]:
    """Return the PTS of the keyframes by the container's index, without reading media data.

    matroska's cues hold PTS: exact. The sample table of mp4 is seen as DTS only; the first
    frame's distance from DTS to PTS is taken for all, which is exact unless GOPs reorder
    differently (in an open GOP the keyframe may lie some frames later). So the result is a hint
    for planning; the packet index has the truth.

    Args:
        source: Local path, or a seekable binary file.
        facts: What ``probe`` found in the same file.

    Returns:
        Sorted ticks, shape (K,); empty when ``facts.has_keyframe_index`` is false.

    Raises:
        MediaError: ``unreadable``, ``not_media``.
    """
    if not facts.has_keyframe_index:
        return np.empty(0, dtype=np.int64)
    name = source if isinstance(source, str) else "the video"
    with open_input(source, name=name) as container:
        stream = container.streams[facts.stream_index]
        assert isinstance(stream, av.VideoStream)
        try:
            index = full_index(container, stream, container_name=facts.container)
        except (av.error.FFmpegError, OSError) as error:
            raise unreadable(name, "the keyframe index", error) from error
    keyframes = index.timestamp[index.is_keyframe]
    if facts.container != "matroska":
        keyframes = keyframes + (facts.first_pts - index.timestamp[index.is_shown][0])
    # A hidden keyframe leads to the first shown frame.
    return np.unique(np.maximum(keyframes, facts.first_pts))
