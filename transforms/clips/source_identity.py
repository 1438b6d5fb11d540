"""What tells whether a source file is still the one that was planned."""

from __future__ import annotations

import hashlib

from transforms.storage.open_storage import storage_for

EDGE_BYTES = 1 << 20
"""Bytes hashed at either end of the file."""


def source_identity(uri: str) -> str:
    """Return size and a hash of the first and last MiB; a copied or touched file keeps it.

    Raises:
        StorageError: The file is gone or cannot be read.
    """
    storage = storage_for(uri)
    # The size it has now: of a file that has grown, the bytes up to the old end may be the same.
    num_bytes = storage.stat(uri).num_bytes
    digest = hashlib.sha256(storage.read_range(uri, 0, EDGE_BYTES))
    if num_bytes > EDGE_BYTES:
        digest.update(storage.read_range(uri, max(EDGE_BYTES, num_bytes - EDGE_BYTES), EDGE_BYTES))
    return f"{num_bytes}-{digest.hexdigest()}"
