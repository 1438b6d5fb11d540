"""Google Cloud Storage as storage."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, cast

from google.cloud.storage import Blob, Bucket

from transforms.storage.block_reader import BlockReader
from transforms.storage.gcs_client import (
    EMULATOR_VARIABLE,
    Connection,
    Patience,
    connect,
    named_errors,
    needed_bucket,
)
from transforms.storage.gcs_download import download
from transforms.storage.gcs_read import BoundedBuffer, BoundError, RangeReader
from transforms.storage.gcs_upload import upload
from transforms.storage.interface import (
    NotFoundError,
    ObjectStat,
    ProblemHandler,
    TooLargeError,
)
from transforms.storage.local import TEMPORARY_PREFIX
from transforms.storage.scratch_copy import ScratchCopy, remove_copy
from transforms.storage.uris import bucket_and_key

_LISTED = "items(name,size,generation,updated),nextPageToken"
PATIENCE_SECONDS = 90.0
"""How long an operation is tried again while the store does not answer or answers 429 or 5xx."""


class GcsStorage:
    """Objects of ``gs://bucket/key``; the generation is their version.

    Every operation may be tried again: objects are written whole, and deleted without conditions.
    The connection belongs to the process that made it: forked, a storage makes its own.

    Args:
        patience_seconds: How long one is tried again, and the longest wait for an answer.
    """

    def __init__(self, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._patience = Patience.of(patience_seconds)
        self._connected: tuple[tuple[int, str], Connection] | None = None

    def read(self, uri: str, *, most: int | None = None) -> bytes:
        """Return the whole object, checked against its checksum; at most ``most`` bytes."""
        blob, buffer = self._blob(uri), BoundedBuffer(most)
        with named_errors(uri):
            try:
                blob.download_to_file(buffer, raw_download=True, **self._patience.options)
            except BoundError:
                num_bytes = self.stat(uri).num_bytes
                raise TooLargeError(uri, most=most or 0, num_bytes=num_bytes) from None
        return buffer.getvalue()

    def read_range(self, uri: str, start: int, length: int) -> bytes:
        """Return bytes ``[start, start + length)``, fewer only at the object's end."""
        return self._reader(uri)(start, length)[0] if length > 0 else b""

    def open_seekable(self, uri: str) -> BinaryIO:
        """Return a file that reads blocks of one generation of the object."""
        return cast(BinaryIO, BlockReader(self._reader(uri), name=uri))

    def stat(self, uri: str) -> ObjectStat:
        """Return size and generation."""
        return _object_stat(uri, self._described(uri))

    def exists(self, uri: str) -> bool:
        """Return whether there is an object; False as well where there is no bucket."""
        if not bucket_and_key(uri)[1]:
            return False
        with named_errors(uri):
            return bool(self._blob(uri).exists(**self._patience.options))

    def write(self, uri: str, data: bytes | Path) -> None:
        """Store ``data``, replacing what is there."""
        self._upload(uri, data)

    def staging(self, root: str, scratch: Path) -> Path:
        """Return a folder in scratch: objects are built there and uploaded whole."""
        return scratch / "staging"

    def publish(self, uri: str, path: Path) -> None:
        """Upload the file and remove it."""
        self.write(uri, path)
        path.unlink()

    def create_if_absent(self, uri: str, data: bytes | Path) -> bool:
        """Store ``data`` unless an object is there: the store decides between two writers."""
        return self._upload(uri, data, generation=0)

    def replace_if(self, uri: str, data: bytes, version: str) -> bool:
        """Replace the object if it still has the generation ``version``."""
        return self._upload(uri, data, generation=int(version))

    def list(self, uri: str, on_problem: ProblemHandler | None = None) -> Iterator[ObjectStat]:
        """Yield every object below ``uri``, sorted by key, a page of 1000 per request.

        Left out are what consoles put down for a folder (an empty object whose key ends with a
        slash) and probes of this program.
        """
        bucket, key = bucket_and_key(uri)
        with needed_bucket(uri), named_errors(uri):
            blobs = self._connection().client.list_blobs(
                bucket,
                prefix=f"{key.rstrip('/')}/" if key else None,
                fields=_LISTED,
                **self._patience.options,
            )
            for blob in blobs:
                name = blob.name.rpartition("/")[2]
                if name and not name.startswith(TEMPORARY_PREFIX):
                    yield _object_stat(f"gs://{bucket}/{blob.name}", blob)

    def delete(self, uri: str) -> None:
        """Remove the object; nothing happens if there is none."""
        with contextlib.suppress(NotFoundError), named_errors(uri):
            self._blob(uri).delete(**self._patience.options)

    def delete_if(self, uri: str, version: str) -> bool:
        """Remove the object if it still has the generation ``version``: the store decides.

        It is looked at before, as stand-ins for Google's store pass over the condition.
        """
        from google.api_core.exceptions import PreconditionFailed  # noqa: PLC0415

        try:
            if self.stat(uri).version != version:
                return False
            with named_errors(uri):
                try:
                    self._blob(uri).delete(
                        if_generation_match=int(version), **self._patience.options
                    )
                except PreconditionFailed:
                    return False
        except NotFoundError:
            return False
        return True

    def delete_many(self, uris: Iterable[str]) -> None:
        """Remove the objects, one after the other: a batch may fail in part."""
        for uri in uris:
            self.delete(uri)

    def clock(self, uri: str) -> float:
        """Return the store's time, from the head of its answer to a question about ``uri``."""
        return self._reader(uri).store_time()

    def sweep(self, uri: str, *, deep: bool = True) -> int:
        """Return 0: what a killed writer did not finish was never there."""
        return 0

    def new_folders(self, uri: str) -> contextlib.AbstractContextManager[None]:
        """Return a context that does nothing: there are no folders."""
        return contextlib.nullcontext()

    @contextlib.contextmanager
    def local_file(self, uri: str, scratch: Path) -> Iterator[Path]:
        """Download into scratch, checked against the object's checksum; removed at the end."""
        # The ending stays: it tells some formats apart.
        name = f"{TEMPORARY_PREFIX}{uuid.uuid4().hex}-{os.path.basename(uri)[-40:]}"
        path = scratch / name.replace("\0", "")
        try:
            self._download(uri, path)
            yield path
        finally:
            remove_copy(path)

    def _download(self, uri: str, path: Path) -> None:
        with ScratchCopy(path, uri=uri) as file:
            download(self._connection(), self._described(uri), file, self._patience)

    def _upload(self, uri: str, data: bytes | Path, *, generation: int | None = None) -> bool:
        """Store ``data`` if the object has this generation; 0: there is none; None: anyhow."""
        with needed_bucket(uri), named_errors(uri):
            return upload(self._blob(uri), data, generation=generation, patience=self._patience)

    def _reader(self, uri: str) -> RangeReader:
        return RangeReader(self._connection(), self._blob(uri), self._patience)

    def _described(self, uri: str) -> Blob:
        blob = self._blob(uri)
        with named_errors(uri):
            blob.reload(**self._patience.options)
        return blob

    def _blob(self, uri: str) -> Blob:
        key = bucket_and_key(uri)[1]
        if not key:
            raise NotFoundError(f"{uri}: is a bucket, not an object")
        return self._bucket(uri).blob(key)

    def _bucket(self, uri: str) -> Bucket:
        return self._connection().client.bucket(bucket_and_key(uri)[0])

    def _connection(self) -> Connection:
        now = os.getpid(), os.environ.get(EMULATOR_VARIABLE, "")
        if self._connected is None or self._connected[0] != now:
            self._connected = now, connect()
        return self._connected[1]


def _object_stat(uri: str, blob: Blob) -> ObjectStat:
    return ObjectStat(
        uri=uri,
        num_bytes=int(blob.size),
        version=str(blob.generation),
        modified_at=blob.updated.timestamp(),
    )
