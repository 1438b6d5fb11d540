"""Ranged reading of objects in Google's storage: one generation, each range whole."""

from __future__ import annotations

import email.utils
import io
import re
from typing import TYPE_CHECKING

import urllib3
from google.api_core.exceptions import NotFound, from_http_response
from google.cloud.storage import Blob

from transforms.storage.gcs_client import Connection, Patience, named_errors
from transforms.storage.interface import StorageError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_RANGE = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+)")


class BoundError(Exception):
    """More bytes came than a buffer takes."""


class BoundedBuffer(io.BytesIO):
    """Takes so many bytes and no more; None: any number."""

    def __init__(self, most: int | None) -> None:
        super().__init__()
        self._most = most

    def write(self, data: ReadableBuffer, /) -> int:
        """Append; raises BoundError beyond the bound."""
        if self._most is not None and self.tell() + memoryview(data).nbytes > self._most:
            raise BoundError
        return super().write(data)


class RangeReader:
    """Fetches ranges of one object; the first answer decides which generation is read.

    Requests are made by hand because the client's download tells neither size nor generation, so
    each file opened would cost one request more.

    Args:
        connection: Whose credentials and endpoint are used.
        blob: The object; where its generation is known, that one is read.
        patience: How long each range is waited for.
    """

    def __init__(self, connection: Connection, blob: Blob, patience: Patience) -> None:
        self._session = connection.session
        self._retry = patience.retry
        self._timeout = patience.timeout
        self._uri = f"gs://{blob.bucket.name}/{blob.name}"
        self._about_url = f"{connection.client.api_endpoint}/storage/v1{blob.path}"
        self._url = f"{connection.client.api_endpoint}/download/storage/v1{blob.path}"
        self._generation = None if blob.generation is None else str(blob.generation)

    def __call__(self, start: int, length: int) -> tuple[bytes, int]:
        """Return bytes ``[start, start + length)``, fewer only at the end, and the object's size.

        Raises:
            NotFoundError: There is no such object.
            StorageError: It cannot be read, or was replaced since the first range.
        """
        got = bytearray()
        is_open = self._generation is not None
        with named_errors(self._uri):
            try:
                total = self._retry(self._resume)(got, start, length)
            except NotFound:
                if not is_open:
                    raise
                raise StorageError(
                    f"{self._uri}: was replaced or removed while it was read; run the command again"
                ) from None
        return bytes(got), total

    def store_time(self) -> float:
        """Return the time by the store's clock, in seconds; whether the object is there or not.

        Raises:
            StorageError: The store cannot be asked, or does not tell the time.
        """
        with named_errors(self._uri):
            date = self._retry(self._date)()
        if date is None:
            raise StorageError(f"{self._uri}: the store's answers have no Date")
        return email.utils.parsedate_to_datetime(date).timestamp()

    def _date(self) -> str | None:
        with self._session.get(self._about_url, timeout=self._timeout) as response:
            if response.status_code not in (200, 404):
                raise from_http_response(response)
            return response.headers.get("Date")

    def _resume(self, got: bytearray, start: int, length: int) -> int:
        """Fetch what is missing in ``got``; return the object's size."""
        first = start + len(got)
        headers = {
            "Range": f"bytes={first}-{start + length - 1}",
            # As it is stored: otherwise the store unpacks what was stored with gzip, whole.
            "Accept-Encoding": "gzip",
        }
        params = {"alt": "media"}
        if self._generation is not None:
            params["generation"] = self._generation
        with self._session.get(
            self._url, params=params, headers=headers, timeout=self._timeout, stream=True
        ) as response:
            total = _total(response.status_code, response.headers.get("Content-Range"))
            if response.status_code == 416 and total is not None:
                return total
            if response.status_code != 206 or total is None:
                raise from_http_response(response)
            self._generation = response.headers.get("X-Goog-Generation", self._generation)
            wanted = min(start + length, total) - first
            while block := response.raw.read(1 << 16, decode_content=False):
                got += block
        if len(got) != min(start + length, total) - start:
            missing = wanted - len(got)
            raise urllib3.exceptions.ProtocolError(f"{missing} of {wanted} bytes did not arrive")
        return total


def _total(status: int, content_range: str | None) -> int | None:
    match = _RANGE.fullmatch(content_range or "")
    if match is None:
        # Google sends none when there is no byte at all to send.
        return 0 if status == 416 else None
    return int(match.group(3))
