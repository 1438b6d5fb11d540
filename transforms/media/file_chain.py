"""Where the chain of chunks, tags or blocks of a file breaks, so that packets went missing there.

FFmpeg reads on behind such a place without a word: frames are left out, or come at wrong times.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from transforms.media.ebml import CLUSTER, SEGMENT, element

_IN_SEGMENT = frozenset(
    {0x114D9B74, 0x1549A966, CLUSTER, 0x1654AE6B, 0x1C53BB6B, 0x1941A469, 0x1043A770, 0x1254C367}
    | {0xEC, 0xBF}
)
"""Matroska: seek head, info, cluster, tracks, cues, attachments, chapters, tags, void, checksum."""
_IN_CLUSTER = frozenset({0xE7, 0xA3, 0xA0, 0xAB, 0xA7, 0x5854, 0xAF, 0xEC, 0xBF})
"""Matroska: time, simple block, block group, previous size, position, silent tracks, encrypted
block, void, checksum."""
_AVI_GROUPS = (b"RIFF", b"LIST")
_FLV_TAGS = frozenset({8, 9, 18})


def broken_at(path: str, container: str) -> int | None:
    """Return the byte at which something else stands than the container's next piece, or None.

    Reads the head of every piece. An end that is merely missing is no break (see ``file_end``).

    Args:
        path: Local file.
        container: As ``VideoFacts.container``.
    """
    follow = _FOLLOW.get(container)
    if follow is None:
        return None
    with Path(path).open("rb") as file:
        return follow(file, os.fstat(file.fileno()).st_size)


def _chunks(file: BinaryIO, size: int) -> int | None:
    """Follow the chunks of an AVI; groups are entered."""
    at = frames = frames_end = 0
    while at + 8 <= size:
        file.seek(at)
        kind, length = struct.unpack("<4sI", file.read(8))
        if not all(32 <= byte < 127 for byte in kind):
            return at
        if file.read(4) == b"movi" and kind == b"LIST":
            frames, frames_end = at, at + 8 + length
        elif kind == b"idx1" and at < frames_end:  # Chunks are missing, nobody knows which.
            return frames
        at += 12 if kind in _AVI_GROUPS else 8 + length + length % 2
    return None


def _tags(file: BinaryIO, size: int) -> int | None:
    """Follow the tags of an FLV, each of which is followed by its size."""
    file.seek(5)
    at = int.from_bytes(file.read(4), "big") + 4
    while at + 15 <= size:
        file.seek(at)
        head = file.read(4)
        length = int.from_bytes(head[1:], "big")
        if head[0] & 0x1F not in _FLV_TAGS:
            return at
        file.seek(at + 11 + length)
        behind = file.read(4)
        if len(behind) == 4 and int.from_bytes(behind, "big") not in (length + 11, 0):
            return at
        at += 11 + length + 4
    return None


def _blocks(file: BinaryIO, size: int) -> int | None:
    """Follow matroska's clusters and the blocks in them."""
    header = element(file, 0)
    at = header.end if header and header.end is not None else size
    cluster, within = 0, None
    while at < size:
        if within is not None and at >= within:
            if at > within:  # Something in the cluster is longer or gone.
                return cluster
            within = None
        found = element(file, at)
        if found is None:
            return at if at + 12 <= size else None
        if found.identity == CLUSTER and within is not None:
            return cluster
        if found.identity in (SEGMENT, CLUSTER):
            if found.identity == CLUSTER:
                cluster, within = at, found.end
            at = found.body
        elif found.identity in _IN_SEGMENT | _IN_CLUSTER and found.end is not None:
            at = found.end
        else:
            return at
    return None


_FOLLOW: dict[str, Callable[[BinaryIO, int], int | None]] = {
    "avi": _chunks,
    "flv": _tags,
    "matroska": _blocks,
}
