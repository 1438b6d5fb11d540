"""What an output stores of how high dynamic range becomes BT.709."""

from __future__ import annotations

from beam_pipeline.configuration.config import CurationConfig, ShardConfig
from transforms.clips.fingerprints import fingerprint
from transforms.media import tone_map

TONE_MAP = "tone_map"


def tone_map_fingerprint(config: CurationConfig) -> dict[str, str]:
    """Return the fingerprint of tone mapping by its name; empty where none is done.

    It stands beside that of the cut: which sources have such a range is known only later, and an
    output that was begun without it, as those of earlier versions were, is gone on with.
    """
    if isinstance(config, ShardConfig) or config.trainer.keep_hdr:
        return {}
    if config.transcode.transcode_encoder == "copy":
        return {}
    return {TONE_MAP: fingerprint(tone_map.definition())}
