"""Records with plain defaults, for tests that need only a few of their fields."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from transforms.records import VideoFacts


def make_facts(**changes: Any) -> VideoFacts:
    """Return the facts of a plain 640x360 H.264 mp4 of ten seconds, with some fields changed."""
    values: dict[str, Any] = {
        "container": "mp4",
        "stream_index": 0,
        "codec": "h264",
        "width": 640,
        "height": 360,
        "rotation_degrees": 0,
        "sample_aspect_ratio": Fraction(1),
        "pixel_format": "yuv420p",
        "bit_depth": 8,
        "color": ("", "", "", ""),
        "time_base": Fraction(1, 12800),
        "average_rate": Fraction(25),
        "duration_seconds": 10.0,
        "first_pts": 0,
        "variable_frame_rate": False,
        "bit_rate_kbit": 4000,
        "audio_codec": "",
        "num_streams": (1, 0, 0),
        "header_frames": 250,
        "has_keyframe_index": True,
        "needs_full_read": False,
        "encrypted": False,
    }
    return VideoFacts(**{**values, **changes})
