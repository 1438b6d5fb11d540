"""The metadata that ``split``, this program's or upstream's, wrote of a clip."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transforms.errors import MediaError
from transforms.json_files import read_json
from transforms.json_parsing import MAX_SMALL_JSON_BYTES
from transforms.layout import clip_uri, meta_uri
from transforms.records import ClipSource
from transforms.storage.interface import NotFoundError, StorageError
from transforms.storage.plain_names import is_plain_name, leads_outside, shown


def read_first_meta(root: str, clip_id: str) -> dict[str, Any]:
    """Return a clip's metadata of version v0.

    Raises:
        MediaError: ``bad_id``, ``outside_input``, ``no_metadata``, ``bad_metadata``: there is none
            that can be used. Foreign files may hold anything.
    """
    if not is_plain_name(clip_id):
        raise MediaError("bad_id", f"{shown(clip_id)}: the summary names a clip by no plain name")
    uri = meta_uri(root, clip_id)
    for file in (uri, clip_uri(root, clip_id, rejected=False)):
        if leads_outside(file):
            raise MediaError("outside_input", f"{file}: is a link to a file outside its folder")
    try:
        meta = read_json(uri, max_bytes=MAX_SMALL_JSON_BYTES)
    except NotFoundError:
        raise MediaError("no_metadata", f"{uri}: is not there; run split again") from None
    except StorageError as error:
        raise MediaError("bad_metadata", str(error)) from error
    if not isinstance(meta, dict) or meta.get("span_uuid") != clip_id:
        raise MediaError("bad_metadata", f"{uri}: is not the metadata of clip {clip_id}")
    return meta


def source_of(meta: Mapping[str, Any]) -> ClipSource:
    """Return where a clip comes from.

    Raises:
        MediaError: ``bad_metadata``: it does not say.
    """
    try:
        start, _ = meta["duration_span"]
        return ClipSource(str(meta["source_video"]).rsplit("/", 1)[-1], float(start))
    except (KeyError, TypeError, ValueError) as error:
        raise MediaError(
            "bad_metadata",
            f"clip {meta['span_uuid']}: its metadata does not say where it comes from: {error!r}",
        ) from error
