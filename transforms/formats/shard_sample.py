"""``{key}.json`` in the tars below ``metas/``: what a trainer reads beside the mp4 of a sample."""

from __future__ import annotations

from typing import Literal

from pydantic import JsonValue

from transforms.formats.clip_meta import ClipMeta
from transforms.formats.document import ours


class ShardSample(ClipMeta):
    """The clip's metadata, and which frames of the clip the sample holds. Written compact.

    Describes samples of clips that this program cut. Of a tree that Cosmos-Curate wrote the clip's
    metadata is packed as it stands there, with the fields below added.
    """

    key: str = ours(pattern=r"^[0-9a-f-]{36}(_\d+_\d+)?$")
    """Name of the sample: the clip's id, and the frames if the clip has several windows."""
    start_frame: int = ours(unit="frame number", ge=0)
    """First frame of the clip that the sample holds."""
    end_frame: int = ours(unit="frame number", ge=0)
    """Last frame of the clip that the sample holds."""
    sample_video: Literal["clip", "packets", "encode"] = ours()
    """The mp4 is the clip as it is, a window of copied packets, or a window encoded anew."""
    reencoded_because: str = ours(when="sample_video is encode")
    """Why the window's packets could not be copied, for example ``no_keyframe_at_start``."""
    caption: str = ours(when="the window has a caption of captioning_algorithm")
    """The caption of the frames the sample holds."""
    enhanced_caption: str = ours(when="the window has a rewritten caption")
    """That caption as a text model rewrote it."""
    caption_json: JsonValue = ours(when="the window has a caption as JSON")
    """That caption as JSON, as in the window."""
