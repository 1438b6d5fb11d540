"""Uploading to Google's storage: whole objects, checked, and recognised as one's own afterwards."""

from __future__ import annotations

import contextlib
import io
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from google.api_core.exceptions import PreconditionFailed
from google.cloud.storage import Blob
from google.cloud.storage.exceptions import DataCorruption

from transforms.storage.gcs_client import Patience
from transforms.storage.interface import StorageError

_CHUNK_BYTES = 16 << 20
"""Above 8 MiB, data is sent in requests of this size; the library's own default takes 100 MiB."""
_WRITER = "beam-curate-writer"
"""Name of the note at each object that says by which call it was written."""
_ATTEMPTS = 3


def upload(blob: Blob, data: bytes | Path, *, generation: int | None, patience: Patience) -> bool:
    """Store ``data`` whole; return whether it was stored.

    Args:
        blob: Where.
        data: Bytes, or a local file.
        generation: Which one is replaced, 0: there must be none, None: whatever is there.
        patience: How long each request is waited for.

    Raises:
        StorageError: The local file cannot be read.
    """
    writer = uuid.uuid4().hex
    blob.metadata = {_WRITER: writer}
    blob.chunk_size = _CHUNK_BYTES
    with _opened(data) as (file, num_bytes):
        for attempt in range(_ATTEMPTS):
            try:
                blob.upload_from_file(
                    file,
                    rewind=True,
                    size=num_bytes,
                    content_type="application/octet-stream",
                    if_generation_match=generation,
                    **patience.options,
                )
                return True
            except PreconditionFailed:
                if generation is None:
                    raise
                # An answer may be lost and the request sent again: to what it has made itself.
                return _writer(blob, patience) == writer
            except DataCorruption:
                # Other bytes arrived than were sent; Google's client has removed them.
                if attempt == _ATTEMPTS - 1:
                    raise
    raise AssertionError("unreachable")


def _writer(blob: Blob, patience: Patience) -> str | None:
    found = blob.bucket.get_blob(blob.name, **patience.options)
    return None if found is None else (found.metadata or {}).get(_WRITER)


@contextlib.contextmanager
def _opened(data: bytes | Path) -> Iterator[tuple[BinaryIO, int]]:
    """Return a file over the data, and its size in bytes."""
    if isinstance(data, bytes):
        yield io.BytesIO(data), len(data)
        return
    try:
        file = data.open("rb")
    except OSError as error:
        raise StorageError(f"{data}: {error.strerror}") from error
    with file:
        yield file, os.fstat(file.fileno()).st_size
