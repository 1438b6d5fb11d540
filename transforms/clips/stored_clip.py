"""Whether the mp4 that is stored for a clip is the one that its metadata describes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transforms.layout import clip_uri
from transforms.storage.hashing import stored_sha256
from transforms.storage.interface import NotFoundError
from transforms.storage.open_storage import storage_for

_BLOCK_BYTES = 1 << 20


def mp4_uri(meta: dict[str, Any], root: str) -> str:
    """Return where the clip's mp4 lies; not ``clip_location``: an output may have been moved."""
    return clip_uri(root, meta["span_uuid"], rejected="rejection" in meta)


def other_mp4_uri(meta: dict[str, Any], root: str) -> str:
    """Return where the clip's mp4 must not lie."""
    return clip_uri(root, meta["span_uuid"], rejected="rejection" not in meta)


def has_stated_size(meta: dict[str, Any], root: str) -> bool:
    """Return whether the clip's mp4 is there with the size its metadata states."""
    return _has_size(mp4_uri(meta, root), meta["num_bytes"])


def is_intact(meta: dict[str, Any], root: str, *, rejected: bool | None = None) -> bool:
    """Return whether the clip's mp4 has the size and the sha256 its metadata states.

    Args:
        meta: The metadata.
        root: Output root.
        rejected: In which folder to look; None for the one that the metadata names.
    """
    uri = mp4_uri(meta, root)
    if rejected is not None:
        uri = clip_uri(root, meta["span_uuid"], rejected=rejected)
    try:
        return _has_size(uri, meta["num_bytes"]) and stored_sha256(uri) == meta["sha256"]
    except NotFoundError:
        return False


def has_content(uri: str, path: Path) -> bool:
    """Return whether the object is there with the content of a local file."""
    if not _has_size(uri, path.stat().st_size):
        return False
    try:
        with storage_for(uri).open_seekable(uri) as stored, path.open("rb") as own:
            while block := own.read(_BLOCK_BYTES):
                if stored.read(len(block)) != block:
                    return False
            return not stored.read(1)
    except NotFoundError:
        return False


def _has_size(uri: str, num_bytes: int) -> bool:
    try:
        return storage_for(uri).stat(uri).num_bytes == num_bytes
    except NotFoundError:
        return False
