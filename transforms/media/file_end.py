"""Whether a file ends where its container says it should, told from sizes and not from frames."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from transforms.media.ebml import CLUSTER, SEGMENT, element

_HEAD_BYTES = 4096
"""Of an FLV, in which ``onMetaData`` is looked for."""


def cut_off(path: str, container: str) -> str:
    """Return how it shows that the end of the file is missing, as half a sentence; or "".

    Reads sizes only: a few bytes per box, cluster or list. Empty also where nothing can be told:
    live matroska without a size, transport streams of whole packets, raw streams. Bytes that lack
    behind the last frame (matroska's cues, AVI's index) do not count.

    Args:
        path: Local file.
        container: As ``VideoFacts.container``.
    """
    check = _CHECKS.get(container)
    if check is None:
        return ""
    with Path(path).open("rb") as file:
        return check(file, os.fstat(file.fileno()).st_size)


def _missing(what: str, end: int, size: int) -> str:
    return f"{what} reaches to byte {end}, the file has {size}"


def _boxes(file: BinaryIO, size: int) -> str:
    """Check the boxes of a fragmented mp4; one with a sample table is checked against that."""
    at = 0
    while at < size:
        file.seek(at)
        head = file.read(16)
        if len(head) < 8:
            return _missing("a box", at + 8, size)
        length, kind = struct.unpack(">I4s", head[:8])
        if length == 1 and len(head) == 16:
            length = struct.unpack(">Q", head[8:])[0]
        if length == 0:  # to the end of the file
            return ""
        if length < 8 or not all(32 <= byte < 127 for byte in kind):
            return f"at byte {at}, where a box should begin, there is none"
        at += length
        if at > size:
            return _missing(f"the box {kind.decode()}", at, size)
    return ""


def _segment(file: BinaryIO, size: int) -> str:
    """Check that matroska's segment is there up to its last cluster."""
    header = element(file, 0)
    segment = element(file, header.end) if header and header.end is not None else None
    if segment is None or segment.identity != SEGMENT:
        return ""
    if segment.end is None:
        return _live_segment(file, size, segment.body)
    if segment.end <= size:
        return ""
    at, last = segment.body, 0
    while at < size:
        part = element(file, at)
        if part is None or part.end is None:
            break
        at, last = part.end, part.identity
    if at > size and last != CLUSTER:  # cut inside what follows the clusters
        return ""
    return _missing("the segment", segment.end, size)


def _live_segment(file: BinaryIO, size: int, at: int) -> str:
    """Check that the last block is whole; that further ones are missing cannot be told."""
    while at < size:
        part = element(file, at)
        if part is None:
            return f"the file ends inside a block, at byte {size}" if at + 12 > size else ""
        if part.end is None and part.identity != CLUSTER:
            return ""
        at = part.body if part.identity == CLUSTER or part.end is None else part.end
    return _missing("a block", at, size) if at > size else ""


def _tags(file: BinaryIO, size: int) -> str:
    """Check an FLV's size if it is stated, and that its last tag is whole."""
    head = file.read(_HEAD_BYTES)
    at = head.find(b"\x00\x08filesize\x00")
    if at >= 0 and len(head) >= at + 19:
        (stated,) = struct.unpack(">d", head[at + 11 : at + 19])
        if size < stated < 2**62:
            return _missing("the header says that it", int(stated), size)
    file.seek(max(0, size - 4))
    length = int.from_bytes(file.read(4), "big")
    file.seek(max(0, size - 4 - length))
    tag = file.read(4)
    if length < 11 or len(tag) < 4 or int.from_bytes(tag[1:], "big") + 11 != length:
        return f"the file ends inside a tag, at byte {size}"
    return ""


def _lists(file: BinaryIO, size: int) -> str:
    """Check that the lists of frames of an AVI are whole."""
    riff = 0
    while riff + 12 <= size:
        file.seek(riff)
        kind, length = struct.unpack("<4sI", file.read(8))
        if kind != b"RIFF" or not length:
            return ""
        at, riff = riff + 12, riff + 8 + length + length % 2
        while at + 12 <= min(riff, size):
            file.seek(at)
            kind, length, name = struct.unpack("<4sI4s", file.read(12))
            at += 8 + length + length % 2
            if kind == b"LIST" and name == b"movi" and at > size + length % 2:
                return _missing("the list of frames", at, size)
    return ""


_CHECKS: dict[str, Callable[[BinaryIO, int], str]] = {
    "mp4": _boxes,
    "mov": _boxes,
    "matroska": _segment,
    "flv": _tags,
    "avi": _lists,
}
