"""Downloading an object from Google's storage into a file: resumed for as long as it takes."""

from __future__ import annotations

import base64

import google_crc32c
from google.cloud.storage import Blob

from transforms.storage.gcs_client import Connection, Patience
from transforms.storage.gcs_read import RangeReader
from transforms.storage.interface import StorageError
from transforms.storage.scratch_copy import ScratchCopy

_RANGE_BYTES = 16 << 20
"""Each range is tried again for as long as any request: the whole may take hours."""


def download(connection: Connection, blob: Blob, file: ScratchCopy, patience: Patience) -> None:
    """Write an object's content to a file: one generation, compared with its CRC32C.

    The client's own download gives up on a cut that comes later than its patience lasts.

    Args:
        connection: Whose credentials and endpoint are used.
        blob: The object, as the store has described it: size, generation, CRC32C.
        file: Is written from its position on.
        patience: How long each range is waited for.

    Raises:
        StorageError: It was replaced meanwhile, or other bytes arrived than are stored.
        StoreAwayError: The store cannot be reached.
        ScratchError: The file cannot be written.
    """
    reader = RangeReader(connection, blob, patience)
    checksum = google_crc32c.Checksum()
    for start in range(0, int(blob.size), _RANGE_BYTES):
        data, _ = reader(start, _RANGE_BYTES)
        checksum.update(data)
        file.write(data)
    if blob.crc32c and base64.b64encode(checksum.digest()).decode() != blob.crc32c:
        uri = f"gs://{blob.bucket.name}/{blob.name}"
        raise StorageError(f"{uri}: other bytes arrived than are stored; run the command again")
