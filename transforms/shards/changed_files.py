"""Files that are stored only when they change: a run with nothing to do rewrites nothing."""

from __future__ import annotations

from typing import Any

from transforms.json_files import json_bytes
from transforms.storage.interface import NotFoundError
from transforms.storage.open_storage import storage_for


def write_if_changed(uri: str, content: Any) -> None:
    """Store JSON (or text), unless the same is there: a run with nothing to do rewrites nothing."""
    write_bytes_if_changed(
        uri, content.encode() if isinstance(content, str) else json_bytes(content)
    )


def write_bytes_if_changed(uri: str, data: bytes) -> None:
    """Store bytes, unless the same are there."""
    storage = storage_for(uri)
    try:
        if storage.read(uri) == data:
            return
    except NotFoundError:
        pass
    storage.write(uri, data)
