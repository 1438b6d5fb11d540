"""VP8 packets that show no frame."""

from __future__ import annotations

from typing import Any

import av


def is_invisible(packet: av.Packet[Any], codec: str) -> bool:
    """Whether this is a VP8 frame that others refer to and nobody sees.

    Encoders write such "alternate reference" frames as packets of their own (RFC 6386, section
    9.1: show_frame is 0). VP9 and AV1 put them into the packet of a visible frame.
    """
    return codec == "vp8" and packet.size > 0 and not memoryview(packet)[0] & 0x10
