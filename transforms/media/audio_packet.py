"""A packet of sound with exact times."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import av


@dataclass(frozen=True, slots=True)
class AudioPacket:
    """A packet of the source and when it is heard, in seconds of the source's time."""

    packet: av.Packet
    start: Fraction
    end: Fraction
