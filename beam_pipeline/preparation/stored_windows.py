"""How clips that are there already are divided into windows."""

from __future__ import annotations

from typing import Literal

from beam_pipeline.configuration.config import CurateConfig, RecaptionConfig, ShardConfig
from transforms.json_files import read_json_if_there
from transforms.layout import annotations_uri, options_uri


def window_option(
    config: ShardConfig | CurateConfig | RecaptionConfig,
    input_root: str,
    name: Literal["captioning_window_size", "captioning_remainder_threshold"],
) -> int:
    """Return an option of the windows: what the user says, else what the clips were made with.

    Args:
        config: The options.
        input_root: Output root of ``split``.
        name: The option.
    """
    if name not in config.windows.model_fields_set:
        version = config.sharding.annotation_version
        for uri in (annotations_uri(input_root, version, "options.json"), options_uri(input_root)):
            stored = read_json_if_there(uri) or {"options": {}}
            if name in stored["options"]:
                return int(stored["options"][name])
    return int(getattr(config.windows, name))
