"""JSON files as this program writes them: indent 4, keys sorted, ASCII."""

from __future__ import annotations

import json
from typing import Any

from transforms.storage.interface import NotFoundError, StorageError
from transforms.storage.open_storage import storage_for


def json_bytes(value: Any) -> bytes:
    """Return ``value`` as JSON bytes, the same for equal values."""
    return (json.dumps(value, indent=4, sort_keys=True, allow_nan=False) + "\n").encode()


def read_json(uri: str) -> Any:
    """Return the parsed object. Raises NotFoundError; StorageError when it is not JSON."""
    data = storage_for(uri).read(uri)
    try:
        return json.loads(data)
    except ValueError as error:
        raise StorageError(f"{uri}: is not valid JSON ({error})") from error


def read_json_if_there(uri: str) -> Any | None:
    """Return the parsed object, None when there is none."""
    try:
        return read_json(uri)
    except NotFoundError:
        return None


def write_json(uri: str, value: Any) -> None:
    """Store ``value``, replacing what is there."""
    storage_for(uri).write(uri, json_bytes(value))


def create_json(uri: str, value: Any) -> bool:
    """Store ``value`` unless an object is there; return whether it was stored."""
    return storage_for(uri).create_if_absent(uri, json_bytes(value))
