"""Decide once per video where its black bars are cut away, from a few of its frames."""

from __future__ import annotations

import uuid
import zipfile
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np

from transforms.errors import MediaError
from transforms.media import crop_box
from transforms.media.crop_box import Extremes
from transforms.media.decode import DecodeCounters, decode_frames
from transforms.media.luma import LumaReader
from transforms.media.observers.picture_box import Box, picture_box
from transforms.media.open_input import unreadable
from transforms.media.packet_index import PacketIndex
from transforms.records import VideoFacts
from transforms.storage.local import TEMPORARY_PREFIX
from transforms.storage.sync import sync_file, sync_folder

NUM_KEYFRAMES = 16
"""So many keyframes, spread evenly, are looked at."""
FEW_KEYFRAMES = 6
"""With fewer than these in the video, the frames of its beginning are looked at too."""
BEGINNING_FRAMES = 1500
"""The beginning: so many frames, or the whole video when it is shorter."""
BEGINNING_SAMPLES = 30
"""Of the beginning, about so many frames are looked at."""
ALL_BLACK = "all_black"
"""Reason of the failure of a video of which nothing would be left."""


def definition() -> dict[str, int]:
    """Return the numbers that the box depends on; part of the cut's fingerprint."""
    return {
        **crop_box.definition(),
        "keyframes": NUM_KEYFRAMES,
        "few": FEW_KEYFRAMES,
        "beginning": BEGINNING_FRAMES,
        "samples": BEGINNING_SAMPLES,
    }


def decided_crop(
    source: str,
    facts: VideoFacts,
    index: PacketIndex,
    *,
    path: Path,
    counters: DecodeCounters,
) -> Box | None:
    """Return the box to keep of every clip of the video, in stored pixels; None: the whole frame.

    What was decided before stands; two processes that decide at once decide alike.

    Args:
        source: Local file.
        facts: What ``probe`` found in it.
        index: Its packet index.
        path: Where the decision is kept: written when it is not there.
        counters: Counts what was decoded; added to.

    Raises:
        MediaError: ``all_black``: cutting black away would leave nothing; ``unreadable``: ``path``
            is no decision.
    """
    if not path.exists():
        box = _decide(source, facts, index, counters)
        _save(path, box)
        return box
    try:
        with np.load(path, allow_pickle=False) as file:
            values = [int(value) for value in file["box"]]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise unreadable(str(path), "the crop box", error) from error
    return (values[0], values[1], values[2], values[3]) if values else None


def _decide(
    source: str, facts: VideoFacts, index: PacketIndex, counters: DecodeCounters
) -> Box | None:
    seen = _Seen()
    for frame in _keyframes(source, facts, index, counters):
        seen.add(frame)
    if len(index.keyframe_pts) < FEW_KEYFRAMES or seen.is_black:
        _see_beginning(seen, source, facts, index, counters)
    if seen.is_black:
        raise MediaError(
            ALL_BLACK,
            f"{source}: crop_black_bars would cut away everything, every frame of the video is "
            "black; remove the video, or leave crop_black_bars out",
        )
    return None if seen.extremes is None else crop_box.crop_box(seen.extremes)


class _Seen:
    """Lightest and darkest of the frames looked at."""

    def __init__(self) -> None:
        self.extremes: Extremes | None = None
        self._reader = LumaReader()

    def add(self, frame: av.VideoFrame) -> None:
        luma = self._reader.read(frame)
        values = luma.scale[luma.stored]
        if self.extremes is None:
            self.extremes = Extremes(values, values.copy())
            return
        np.maximum(self.extremes.lightest, values, out=self.extremes.lightest)
        np.minimum(self.extremes.darkest, values, out=self.extremes.darkest)

    @property
    def is_black(self) -> bool:
        """Whether there were frames, and in all of them nothing but black."""
        return self.extremes is not None and picture_box(self.extremes.lightest)[2:] == (0, 0)


def _keyframes(
    source: str, facts: VideoFacts, index: PacketIndex, counters: DecodeCounters
) -> Iterator[av.VideoFrame]:
    """Yield some keyframes; those that do not decode are passed over.

    The clips in which they lie will fail by the same fault when they are cut, and say so.
    """
    count = len(index.keyframe_pts)
    picked = sorted({count * number // NUM_KEYFRAMES for number in range(NUM_KEYFRAMES)})
    for pts in (int(index.keyframe_pts[number]) for number in picked):
        frames = decode_frames(
            source, facts, index, start_pts=pts, end_pts=pts + 1, counters=counters
        )
        yield from _until_a_fault(frames)


def _see_beginning(
    seen: _Seen, source: str, facts: VideoFacts, index: PacketIndex, counters: DecodeCounters
) -> None:
    """Add frames of the beginning; when all is black so far, go on until something is not."""
    num_frames = min(len(index.pts), BEGINNING_FRAMES)
    step = max(1, num_frames // BEGINNING_SAMPLES)
    start_pts, end_pts = int(index.pts[0]), index.end_pts
    frames = decode_frames(
        source, facts, index, start_pts=start_pts, end_pts=end_pts, counters=counters
    )
    for number, frame in enumerate(_until_a_fault(frames)):
        if number >= num_frames and not seen.is_black:
            return
        if number % step == 0:
            seen.add(frame)


def _until_a_fault(frames: Iterator[av.VideoFrame]) -> Iterator[av.VideoFrame]:
    try:
        yield from frames
    except MediaError:
        return


def _save(path: Path, box: Box | None) -> None:
    """Write the decision; the file appears whole or not at all."""
    temporary = path.with_name(f"{TEMPORARY_PREFIX}{uuid.uuid4().hex}")
    try:
        with temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, box=np.array(box or (), dtype=np.int64))
        sync_file(str(temporary))
        temporary.replace(path)
        sync_folder(str(path.parent))
    finally:
        temporary.unlink(missing_ok=True)
