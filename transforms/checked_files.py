"""Reading a JSON file that may hold anything: it is as its format says, or it is refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

from transforms.errors import CurateError
from transforms.finding import Watch
from transforms.formats.document import Document
from transforms.json_parsing import MAX_JSON_BYTES, parse_json
from transforms.storage.interface import ObjectStat, StorageError
from transforms.storage.open_storage import storage_for

_MESSAGE_LENGTH = 200


class BadFileError(CurateError):
    """A file is there and is not what its format says; the message is the reason alone."""


def read_checked(uri: str, document: type[Document], watch: Watch) -> dict[str, Any]:
    """Return the object in a JSON file.

    Raises:
        NotFoundError: There is none.
        BadFileError: It cannot be read, or is not what ``document`` describes.
    """
    storage = storage_for(uri)
    num_bytes = storage.stat(uri).num_bytes
    # A pipe has no bytes either: nothing that could wait is opened.
    if not 0 < num_bytes <= MAX_JSON_BYTES:
        raise BadFileError(f"has {num_bytes} bytes")
    watch(num_bytes)
    try:
        data = storage.read(uri)
    except StorageError as error:
        raise BadFileError(f"cannot be read: {error}") from error
    return parse_checked(data, document)


def parse_checked(data: bytes, document: type[Document]) -> dict[str, Any]:
    """Return the object; raises BadFileError unless it is what ``document`` describes."""
    try:
        document.model_validate_json(data, strict=True)
        content = parse_json(data)
    except ValidationError as error:
        raise BadFileError(_first_problem(error)) from error
    except ValueError as error:
        raise BadFileError(f"is not valid JSON ({error})"[:_MESSAGE_LENGTH]) from error
    if not isinstance(content, dict):
        raise BadFileError("is not a JSON object")
    return content


def list_files(folder: str) -> Iterator[ObjectStat]:
    """Yield the files below a folder; what is no file (a pipe, a loop) is passed over."""
    return storage_for(folder).list(folder, on_problem=lambda _uri, _reason: None)


def _first_problem(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    text = f"{where}: {first['msg']}" if where else first["msg"]
    return text.replace("\n", " ")[:_MESSAGE_LENGTH]
