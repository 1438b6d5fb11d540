"""The packet index as the steps have it: looked up, stored and read again."""

from __future__ import annotations

import uuid
import zipfile
from dataclasses import dataclass, field, fields
from fractions import Fraction
from math import ceil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from transforms.media.open_input import unreadable
from transforms.storage.local import TEMPORARY_PREFIX
from transforms.storage.sync import sync_file, sync_folder

_NONE_LOST = np.empty((0, 2), dtype=np.int64)


@dataclass(frozen=True)
class PacketIndex:
    """When each frame of a video is shown and where decoding can start.

    The rank of a frame's PTS in ``pts`` is its frame number.
    """

    pts: NDArray[np.int64]
    """PTS of the frames in ticks, strictly increasing. Shape (N,), N >= 1."""
    keyframe_pts: NDArray[np.int64]
    """PTS of the keyframes, increasing, hidden ones included. Shape (K,), K >= 1."""
    keyframe_dts: NDArray[np.int64]
    """DTS of the keyframes; PTS where there is none. Shape (K,)."""
    keyframe_seek: NDArray[np.int64]
    """What to seek by, in ticks, to land on each keyframe (see ``packet_index``). Shape (K,)."""
    keyframe_position: NDArray[np.int64]
    """Packets of the stream before each keyframe in decode order. Shape (K,)."""
    end_pts: int
    """Last PTS plus that frame's duration, in ticks."""
    first_packet_is_keyframe: bool
    pts_usable: bool
    """False: packets lack PTS or theirs are not the frames' (e.g. AVI with packed B-frames). Then
    ``pts`` is counted: first PTS + frame number / average rate, and there is one keyframe, the
    start: such a video is decoded in one pass from its beginning."""
    num_packets: int
    """Packets of the stream, those included that show no frame of their own."""
    lost_pts: NDArray[np.int64] = field(default_factory=lambda: _NONE_LOST)
    """Half-open stretches of PTS, in order, whose frames need packets that the file lacks or has
    in part. A frame in them may be wrong or missing. Shape (L, 2)."""
    missing: str = ""
    """What the container promises and the file lacks, as half a sentence; then the last stretch
    reaches to the end of time. Only with ``keep_prefix``."""

    @property
    def num_whole(self) -> int:
        """Frames before the first one that may be lost."""
        if not len(self.lost_pts):
            return len(self.pts)
        return int(np.searchsorted(self.pts, self.lost_pts[0, 0]))

    def lost_from(self, start_pts: int, end_pts: int) -> int | None:
        """Return the first PTS in ``[start_pts, end_pts)`` whose frame may be lost, or None."""
        for first, behind in self.lost_pts:
            if first < end_pts and behind > start_pts:
                return max(int(first), start_pts)
        return None

    def count(self, start_pts: int, end_pts: int) -> int:
        """Return the number of frames with ``start_pts <= pts < end_pts``."""
        first, behind = np.searchsorted(self.pts, (start_pts, end_pts))
        return max(0, int(behind - first))

    def span_pts(
        self, start: Fraction, end: Fraction | None, time_base: Fraction
    ) -> tuple[int, int]:
        """Return the half-open PTS span of ``[start, end)`` seconds after the first frame.

        A frame lies in the span when its exact time does: bounds are rounded up to whole ticks.

        Args:
            start: Seconds after the first PTS.
            end: Likewise; None: to the end of the last frame.
            time_base: Seconds per tick.
        """
        first = int(self.pts[0])
        start_pts = first + ceil(start / time_base)
        return start_pts, self.end_pts if end is None else first + ceil(end / time_base)

    def save(self, path: str | Path) -> None:
        """Write the index as ``.npz``; the file appears whole or not at all."""
        target = Path(path)
        temporary = target.with_name(f"{TEMPORARY_PREFIX}{uuid.uuid4().hex}")
        values = {item.name: np.asarray(getattr(self, item.name)) for item in fields(self)}
        try:
            with temporary.open("wb") as file:
                np.savez_compressed(file, allow_pickle=False, **values)
            sync_file(str(temporary))
            temporary.replace(target)
            sync_folder(str(target.parent))
        finally:
            temporary.unlink(missing_ok=True)

    @classmethod
    def load(cls, path: str | Path) -> PacketIndex:
        """Read what ``save`` wrote.

        Raises:
            MediaError: ``unreadable`` when the file is not a whole index.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                return cls(
                    pts=file["pts"],
                    keyframe_pts=file["keyframe_pts"],
                    keyframe_dts=file["keyframe_dts"],
                    keyframe_seek=file["keyframe_seek"],
                    keyframe_position=file["keyframe_position"],
                    end_pts=int(file["end_pts"]),
                    first_packet_is_keyframe=bool(file["first_packet_is_keyframe"]),
                    pts_usable=bool(file["pts_usable"]),
                    num_packets=int(file["num_packets"]),
                    # Earlier versions stored neither.
                    lost_pts=file.get("lost_pts", _NONE_LOST),
                    missing=str(file.get("missing", "")),
                )
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise unreadable(str(path), "the packet index", error) from error
