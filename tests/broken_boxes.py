"""Finding boxes and their numbers in mp4 and mov files, to break them."""

from __future__ import annotations

import struct
from dataclasses import dataclass

_PARENTS = {
    b"moov",
    b"trak",
    b"mdia",
    b"minf",
    b"stbl",
    b"edts",
    b"dinf",
    b"mvex",
    b"moof",
    b"traf",
}
_NUMBERS = {
    # Offsets behind the box's beginning: time scale and duration, counts and first entries.
    b"mvhd": (20, 24),
    b"mdhd": (20, 24),
    b"tkhd": (28, 84, 88),
    b"elst": (12, 16, 20, 24),
    b"stts": (12, 16, 20),
    b"ctts": (12, 16, 20),
    b"stss": (12, 16),
    b"stsc": (12, 16, 20, 24),
    b"stsz": (12, 16, 20, 24, 60),
    b"stco": (12, 16, 20),
    # Size of the picture, size of the sample entry, number of entries.
    b"stsd": (12, 16, 48, 50),
    b"trun": (12, 16, 20, 24),
    b"tfhd": (12, 16),
    b"tfdt": (12, 16),
    b"trex": (12, 20),
}


@dataclass(frozen=True)
class Box:
    """A box: where it begins, how long it is, its four letters."""

    at: int
    size: int
    kind: bytes


def boxes(data: bytes | bytearray, start: int = 0, end: int | None = None) -> list[Box]:
    """Return the boxes of a valid file, those in other boxes included, in order."""
    found: list[Box] = []
    end = len(data) if end is None else end
    while start + 8 <= end:
        size, kind = struct.unpack_from(">I4s", data, start)
        if size < 8:
            break
        found.append(Box(start, size, kind))
        if kind in _PARENTS:
            found += boxes(data, start + 8, start + size)
        start += size
    return found


def field_offsets(box: Box) -> list[int]:
    """Return where numbers of four bytes stand whose value a reader obeys."""
    inside = [offset for offset in _NUMBERS.get(box.kind, ()) if offset + 4 <= box.size]
    return [box.at + offset for offset in inside]


def scheme_box(data: bytearray, entry: int) -> bytes:
    """Return the file with its sample entry (its letters at ``entry``) marked as encrypted.

    ``sinf`` names the scheme as an encrypted track does; keys and vectors there are none. The
    index must be the file's last box.
    """
    original = bytes(data[entry : entry + 4])
    data[entry : entry + 4] = b"encv"
    schm = struct.pack(">I4sI4sI", 20, b"schm", 0, b"cenc", 0x10000)
    tenc = struct.pack(">I4sIHBB16s", 32, b"tenc", 0, 0, 1, 8, bytes(range(16)))
    schi = struct.pack(">I4s", 8 + len(tenc), b"schi") + tenc
    frma = struct.pack(">I4s4s", 12, b"frma", original)
    content = frma + schm + schi
    sinf = struct.pack(">I4s", 8 + len(content), b"sinf") + content
    size = struct.unpack_from(">I", data, entry - 4)[0]
    at = entry - 4 + size
    for kind in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd"):
        box = data.find(kind) - 4
        struct.pack_into(">I", data, box, struct.unpack_from(">I", data, box)[0] + len(sinf))
    struct.pack_into(">I", data, entry - 4, size + len(sinf))
    return bytes(data[:at] + sinf + data[at:])
