"""Make an AVI with packed B-frames, as old DivX encoders wrote them; FFmpeg itself cannot."""

from __future__ import annotations

from pathlib import Path

import av

_MARK = b"\x00\x00\x01\xb2DivX503b1393p"
"""MPEG-4 user data that announces packed B-frames."""
_NOT_CODED = bytes([0, 0, 1, 0xB6, 0b01010000, 0b01011111])
"""A P-VOP without content: type 01, modulo 0, marker, 5 bits of time, marker, vop_coded 0."""


def pack_b_frames(source: Path, target: Path) -> Path:
    """Copy an MPEG-4 AVI so that each B-frame shares the packet of the frame it needs.

    ``source`` has at most one B-frame in a row and 17 to 32 ticks a second (5 bits of time).
    """
    with av.open(str(source)) as given, av.open(str(target), "w", format="avi") as out:
        stream = given.streams.video[0]
        copy = out.add_stream_from_template(stream)
        chunks = [bytes(packet) for packet in given.demux(stream) if packet.size]
        for number, data in enumerate(_packed(chunks)):
            packet = av.Packet(data)
            packet.stream = copy
            if stream.time_base is not None:
                packet.time_base = stream.time_base
            packet.pts = packet.dts = number
            packet.is_keyframe = _kind(data) == 0
            out.mux(packet)
    return target


def _packed(chunks: list[bytes]) -> list[bytes]:
    packed: list[bytes] = []
    for chunk in chunks:
        if _kind(chunk) == 2:
            packed[-1] += chunk
            packed.append(_NOT_CODED)
        else:
            packed.append(chunk)
    first = packed[0]
    at = first.index(b"\x00\x00\x01\xb6")
    packed[0] = first[:at] + _MARK + first[at:]
    return packed


def _kind(chunk: bytes) -> int:
    """Return the VOP's coding type: 0 I, 1 P, 2 B."""
    return chunk[chunk.index(b"\x00\x00\x01\xb6") + 4] >> 6
