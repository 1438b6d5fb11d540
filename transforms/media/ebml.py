"""The elements that matroska and webm files are made of."""

from __future__ import annotations

from typing import BinaryIO, NamedTuple

SEGMENT = 0x18538067
CLUSTER = 0x1F43B675


class Element(NamedTuple):
    """The head of an element."""

    identity: int
    body: int
    """Byte at which its content begins."""
    end: int | None
    """Byte behind it; None: unknown, it reaches to the next one of its level."""


def element(file: BinaryIO, at: int) -> Element | None:
    """Return the head of the element at byte ``at``, None where there is none."""
    file.seek(at)
    head = file.read(12)
    id_length = 9 - head[0].bit_length() if head and head[0] >> 4 else 9
    if len(head) <= id_length or not head[id_length]:
        return None
    length = 9 - head[id_length].bit_length()
    field = head[id_length : id_length + length]
    if len(field) < length:
        return None
    all_ones = (1 << 7 * length) - 1
    value = int.from_bytes(field, "big") & all_ones
    body = at + id_length + length
    identity = int.from_bytes(head[:id_length], "big")
    return Element(identity, body, None if value == all_ones else body + value)
