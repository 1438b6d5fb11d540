"""Whose captions the clips have that ``shard`` packs."""

from __future__ import annotations

import itertools
import typing
from typing import Any

from beam_pipeline.configuration.config import AnyConfig, ShardConfig
from beam_pipeline.configuration.settled import updated
from transforms.json_files import read_json
from transforms.json_parsing import MAX_SMALL_JSON_BYTES
from transforms.layout import METAS
from transforms.storage.interface import StorageError
from transforms.storage.open_storage import storage_for
from transforms.storage.uris import absolute, join

_NAME = "captioning_algorithm"
_LOOKED_AT = 20
"""Clips that are asked whose captions they have: all of a version are captioned alike."""
_CAPTION, _ENHANCED = "_caption", "_enhanced_caption"


def settle_captioner(config: AnyConfig) -> tuple[AnyConfig, str | None]:
    """Return ``shard``'s configuration with the algorithm whose captions are there, and a line.

    Without it, clips captioned by another algorithm than the default would be packed without a
    word of what they show. An algorithm that is named stays, with a line if it has no captions.
    """
    if not isinstance(config, ShardConfig):
        return config, None
    wanted = config.caption_model.captioning_algorithm
    found = _captioners(config)
    if not found or wanted in found:
        return config, None
    is_named = _NAME in config.caption_model.model_fields_set
    if is_named or len(found) > 1:
        return config, (
            f"{_NAME}: samples get no caption by {wanted}; these clips have captions by "
            f"{', '.join(found)}"
        )
    section = updated(config.caption_model, **{_NAME: found[0]})
    settled = config.model_copy(update={"caption_model": section})
    return settled, f"{_NAME}: {found[0]} (whose captions these clips have)"


def _captioners(config: ShardConfig) -> list[str]:
    root, version = (
        absolute(str(config.sharding.input_clip_path)),
        config.sharding.annotation_version,
    )
    folder = join(root, METAS, version)
    files = itertools.islice(storage_for(folder).list(folder), _LOOKED_AT)
    known = typing.get_args(type(config.caption_model).model_fields[_NAME].annotation)
    names = {name for file in files for name in _names_in(file.uri)}
    return sorted(names.intersection(known))


def _names_in(uri: str) -> set[str]:
    """Return the beginnings of a clip's fields that hold a caption; none of what is no metadata."""
    try:
        meta: Any = read_json(uri, max_bytes=MAX_SMALL_JSON_BYTES)
    except StorageError:
        # ``shard`` drops such a clip by name.
        return set()
    windows = meta.get("windows") if isinstance(meta, dict) else None
    return {
        name.removesuffix(_CAPTION)
        for window in (windows if isinstance(windows, list) else [])
        for name in (window if isinstance(window, dict) else {})
        if name.endswith(_CAPTION) and not name.endswith(_ENHANCED)
    }
