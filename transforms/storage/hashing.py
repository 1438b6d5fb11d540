"""Hashes of stored objects."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from transforms.storage.interface import StorageError
from transforms.storage.open_storage import storage_for

_BLOCK_BYTES = 1 << 20


def stored_sha256(uri: str, watch: Callable[[int], None] | None = None) -> str:
    """Return the sha256 of an object in hexadecimal, read in blocks.

    Args:
        uri: The object.
        watch: Told of each block's bytes.

    Raises:
        NotFoundError: There is no object at ``uri``.
        StorageError: It cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with storage_for(uri).open_seekable(uri) as file:
            while block := file.read(_BLOCK_BYTES):
                digest.update(block)
                if watch is not None:
                    watch(len(block))
    except OSError as error:
        raise StorageError(f"{uri}: {error.strerror or error}") from error
    return digest.hexdigest()
