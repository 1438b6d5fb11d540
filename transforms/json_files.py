"""JSON files as this program writes them: indent 4, keys sorted, ASCII."""

from __future__ import annotations

import json
from typing import Any

from transforms.json_parsing import MAX_JSON_BYTES, parse_json
from transforms.storage.interface import NotFoundError, StorageError, TooLargeError
from transforms.storage.open_storage import storage_for


class BadJsonError(StorageError):
    """A file is there and can be read, but what is in it is not what it must be."""


def json_bytes(value: Any) -> bytes:
    """Return ``value`` as JSON bytes, the same for equal values."""
    return (json.dumps(value, indent=4, sort_keys=True, allow_nan=False) + "\n").encode()


def read_json(uri: str, *, max_bytes: int = MAX_JSON_BYTES) -> Any:
    """Return the parsed object; for what is refused see ``parse_json``.

    Raises:
        NotFoundError: There is none.
        BadJsonError: It is larger than ``max_bytes`` (and was not read), or is not JSON.
        StorageError: It cannot be read.
    """
    try:
        return parse_json(storage_for(uri).read(uri, most=max_bytes))
    except TooLargeError as error:
        raise BadJsonError(
            f"{uri}: needed a JSON file of at most {max_bytes} bytes, got {error.num_bytes}; "
            "it is damaged, or no file of this program"
        ) from None
    except ValueError as error:
        raise BadJsonError(f"{uri}: is not valid JSON ({error})") from error


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
