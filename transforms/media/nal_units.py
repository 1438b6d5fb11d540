"""What the first slice of an H.264 or HEVC packet says about its picture."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

_H264_SLICES = range(1, 6)
_H264_IDR = 5
_H264_SEI, _H264_SETS = 6, (7, 8)
_USER_DATA = 5
"""Kind of SEI message in which encoders sign."""
_HEVC_SLICES = range(32)
_HEVC_SETS = (32, 33, 34)
_HEVC_ENTRIES = range(16, 22)
"""BLA, IDR and CRA: what is shown after such a picture needs nothing from before it."""
_START_CODE = b"\x00\x00\x01"


def is_clean_entry(data: bytes, codec: str, extradata: bytes) -> bool:
    """Return whether all that is shown after this keyframe decodes without what comes before it.

    So it is with IDR pictures of H.264, not with its other keyframes (recovery points of an open
    GOP), and with BLA, IDR and CRA pictures of HEVC. What other codecs call a keyframe is one.

    Args:
        data: The packet, its NAL units behind their lengths (mp4, matroska) or behind start codes.
        codec: As ffprobe names it.
        extradata: Of the stream; says which of the two forms it is.
    """
    if codec == "h264":
        return _first_slice(_units(data, _h264_length_size(extradata)), hevc=False) == _H264_IDR
    if codec == "hevc":
        kind = _first_slice(_units(data, _hevc_length_size(extradata)), hevc=True)
        return kind in _HEVC_ENTRIES
    return True


def decoder_hints(data: bytes, codec: str, extradata: bytes) -> bytes:
    """Return the units of a stream's first packet that decoding from a later one needs as well.

    Parameter sets, which later packets need not repeat, and of H.264 what its encoder says of
    itself: decoders know mistakes of old encoders by it and make them too.

    Args:
        data: The first packet.
        codec: As ffprobe names it.
        extradata: Of the stream.

    Returns:
        Whole units in the packet's own form; empty where there are none, and of other codecs.
    """
    if codec == "h264":
        units = _units(data, _h264_length_size(extradata))
        return b"".join(unit.whole for unit in units if _is_h264_hint(unit))
    if codec == "hevc":
        units = _units(data, _hevc_length_size(extradata))
        return b"".join(unit.whole for unit in units if unit.header >> 1 & 0x3F in _HEVC_SETS)
    return b""


class _Unit(NamedTuple):
    """A NAL unit."""

    whole: bytes
    """With its length or start code."""
    header: int
    """Its first byte."""
    second: int
    """Its second byte."""


def _is_h264_hint(unit: _Unit) -> bool:
    kind = unit.header & 0x1F
    return kind in _H264_SETS or (kind == _H264_SEI and unit.second == _USER_DATA)


def _first_slice(units: Iterator[_Unit], *, hevc: bool) -> int | None:
    """Return the type of the first NAL unit that is a slice, None when there is none."""
    for unit in units:
        kind = unit.header >> 1 & 0x3F if hevc else unit.header & 0x1F
        if kind in (_HEVC_SLICES if hevc else _H264_SLICES):
            return kind
    return None


def _h264_length_size(extradata: bytes) -> int:
    """Return the bytes of a unit's length, 0 where start codes divide the units."""
    return (extradata[4] & 3) + 1 if extradata[:1] == b"\x01" and len(extradata) > 4 else 0


def _hevc_length_size(extradata: bytes) -> int:
    return (extradata[21] & 3) + 1 if extradata[:1] == b"\x01" and len(extradata) > 21 else 0


def _units(data: bytes, length_size: int) -> Iterator[_Unit]:
    position = 0
    if not length_size:
        position = data.find(_START_CODE)
        while position >= 0:
            behind = data.find(_START_CODE, position + 3)
            whole = data[position:] if behind < 0 else data[position:behind]
            if len(whole) > len(_START_CODE) + 1:
                yield _Unit(whole, whole[3], whole[4])
            position = behind
        return
    while position + length_size + 1 < len(data):
        size = int.from_bytes(data[position : position + length_size], "big")
        whole = data[position : position + length_size + size]
        if size > 1 and len(whole) == length_size + size:
            yield _Unit(whole, whole[length_size], whole[length_size + 1])
        position += length_size + size
