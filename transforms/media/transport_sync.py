"""Where a transport stream loses its rhythm of packets, so that some are missing there."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_SIZES = ((188, 0), (192, 4), (204, 0))
"""Size of a transport packet and where its sync byte stands."""
_SYNC = 0x47
_WINDOW = 1 << 16
"""Packets, or bytes, that are looked at in one step."""


def sync_losses(path: str) -> list[int]:
    """Return the bytes where a packet should begin and does not; the file's size if it ends in one.

    FFmpeg finds its way back behind such a place and says nothing. Empty for what does not begin
    with three packets.

    Args:
        path: Local file.
    """
    data = np.memmap(path, np.uint8, "r")
    for packet, sync in _SIZES:
        if (data[sync : sync + 3 * packet : packet] == _SYNC).sum() == 3:
            return _losses(data, packet, sync)
    return []


def _losses(data: NDArray[np.uint8], packet: int, sync: int) -> list[int]:
    losses = []
    at = sync
    while at < len(data):
        marks = data[at : at + _WINDOW * packet : packet]
        wrong = np.flatnonzero(marks != _SYNC)
        if not len(wrong):
            at += len(marks) * packet
            continue
        losses.append(at + int(wrong[0]) * packet)
        at = _next_sync(data, losses[-1], packet)
    if at - sync != len(data) and (not losses or at < len(data) + packet):
        losses.append(len(data))
    return losses


def _next_sync(data: NDArray[np.uint8], at: int, packet: int) -> int:
    """Return where three packets follow each other again, far behind the end when nowhere."""
    while at + 2 * packet < len(data):
        marks = data[at : at + _WINDOW + 2 * packet] == _SYNC
        span = len(marks) - 2 * packet
        three = marks[:span] & marks[packet : packet + span] & marks[2 * packet :]
        if three.any():
            return at + int(three.argmax())
        at += span
    return len(data) + packet
