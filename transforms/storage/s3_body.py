"""Reading bodies of objects: boto3 retries requests, but never a body that breaks off."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from transforms.storage.interface import StorageError, StoreAwayError, TooLargeError
from transforms.storage.s3_errors import error_code, http_status
from transforms.storage.s3_head import head as head_object
from transforms.storage.scratch_copy import ScratchCopy

CHUNK_BYTES = 1 << 20
MAX_BREAKS = 8
"""Bodies that may break off one after the other without a new byte."""
_WHOLE_ATTEMPTS = 3
_FIRST_WAIT_SECONDS = 0.2
_MAX_WAIT_SECONDS = 5.0


class PinnedObject:
    """Reads of one version of one object: the one that the first answer was of.

    Args:
        client: The boto3 client.
        bucket: Its bucket.
        key: Its key.
        most: Most bytes that it may have; None: any number.
    """

    def __init__(self, client: Any, bucket: str, key: str, *, most: int | None = None) -> None:
        self._client = client
        self._most = most
        self._bucket = bucket
        self._key = key
        self._etag: str | None = None
        self.num_bytes = 0
        """Size of the object; known after the first answer."""

    def read_range(self, start: int, length: int) -> tuple[bytes, int]:
        """Return the bytes ``[start, start + length)`` and the object's size; a ``Fetch``.

        Raises:
            StorageError: The object was replaced since the first answer, or too little came.
        """
        if length <= 0:
            return b"", self.num_bytes
        data = b"".join(self._chunks(start, start + length))
        expected = max(0, min(start + length, self.num_bytes) - start)
        if len(data) != expected:
            raise StorageError(
                f"{self._name}: needed {expected} bytes at {start}, got {len(data)}; run again"
            )
        return data, self.num_bytes

    def whole(self) -> Iterator[bytes]:
        """Yield the whole object in pieces, checked against the checksum that it was stored with.

        Raises:
            FlexibleChecksumError: It has another checksum; what was yielded is wrong.
        """
        return self._chunks(0, None)

    @property
    def _name(self) -> str:
        return f"s3://{self._bucket}/{self._key}"

    def _chunks(self, start: int, end: int | None) -> Iterator[bytes]:
        """Yield ``[start, end)``; a body that breaks off is gone on with where it broke."""
        position, num_breaks = start, 0
        while end is None or position < end:
            answer = self._get(position, end)
            if answer is None:
                return
            end = self.num_bytes if end is None else min(end, self.num_bytes)
            broke = None
            try:
                for chunk in answer["Body"].iter_chunks(CHUNK_BYTES):
                    piece = chunk[: end - position]
                    position += len(piece)
                    num_breaks = 0
                    yield piece
            except _body_errors() as error:
                broke = error
            finally:
                answer["Body"].close()
            if position < end:
                num_breaks += 1
                if num_breaks > MAX_BREAKS:
                    raise StoreAwayError(
                        f"{self._name}: the answer broke off {num_breaks} times at byte {position}"
                    ) from broke
                wait_after(num_breaks)

    def _get(self, position: int, end: int | None) -> dict[str, Any] | None:
        """Ask for ``[position, end)``; None: the object ends before."""
        from botocore.exceptions import ClientError  # noqa: PLC0415

        wanted: dict[str, str] = {}
        if position or end is not None:
            wanted["Range"] = f"bytes={position}-{'' if end is None else end - 1}"
        if self._etag is not None:
            wanted["IfMatch"] = self._etag
        try:
            answer = self._ask(wanted)
        except ClientError as error:
            if http_status(error) == 412:
                raise StorageError(
                    f"{self._name}: was replaced while it was read; run again"
                ) from None
            if error_code(error) == "InvalidRange" or http_status(error) == 416:
                self.num_bytes = self._size_of_refused(error)
                return None
            raise
        self._etag = told(answer, "ETag", self._name)
        self.num_bytes = self._size_of(answer, position)
        if self._most is not None and self.num_bytes > self._most:
            answer["Body"].close()
            raise TooLargeError(self._name, most=self._most, num_bytes=self.num_bytes)
        return answer

    def _ask(self, wanted: dict[str, str]) -> dict[str, Any]:
        """Return the answer; boto3 does not try again when the body of a refusal breaks off."""
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415
        from urllib3.exceptions import HTTPError  # noqa: PLC0415

        for num_breaks in range(1, MAX_BREAKS + 1):
            try:
                return dict(self._client.get_object(Bucket=self._bucket, Key=self._key, **wanted))
            except HTTPError as error:
                if isinstance(error, BotoCoreError):
                    # Some of boto3's own are of this kind too, and have been tried again.
                    raise
                broke = error
                wait_after(num_breaks)
        raise StoreAwayError(
            f"{self._name}: the answer broke off {MAX_BREAKS} times ({type(broke).__name__})"
        ) from None

    def _size_of(self, answer: dict[str, Any], position: int) -> int:
        range_told = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", answer.get("ContentRange") or "")
        if range_told is None and position == 0:
            if "ContentLength" not in answer:
                # A body of unknown length looks whole wherever it ends.
                return self._asked_size()
            return int(answer["ContentLength"])
        if range_told is None or int(range_told[1]) != position:
            answer["Body"].close()
            raise StorageError(
                f"{self._name}: asked for the bytes from {position} on, the store sent "
                f"{answer.get('ContentRange') or 'the whole object'}; it cannot read ranges"
            )
        return int(range_told[2])

    def _size_of_refused(self, error: Any) -> int:
        headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
        range_told = re.fullmatch(r"bytes \*/(\d+)", headers.get("content-range", ""))
        if range_told:
            return int(range_told[1])
        return self._asked_size()

    def _asked_size(self) -> int:
        pinned = {} if self._etag is None else {"IfMatch": self._etag}
        found = head_object(self._client, Bucket=self._bucket, Key=self._key, **pinned)
        return int(told(found, "ContentLength", self._name))


def told(answer: Mapping[str, Any], name: str, uri: str) -> Any:
    """Return what every store tells in such an answer.

    Raises:
        StorageError: It is not there.
    """
    if name not in answer:
        raise StorageError(
            f"{uri}: the answer has no {name}; is the endpoint an object store, and no proxy "
            "answers in its place?"
        )
    return answer[name]


def read_whole(client: Any, bucket: str, key: str, *, most: int | None = None) -> bytes:
    """Return an object; what does not fit its checksum is read again.

    Raises:
        TooLargeError: It has more than ``most`` bytes.
        StorageError: It never fits.
    """
    from botocore.exceptions import FlexibleChecksumError  # noqa: PLC0415

    for _ in range(_WHOLE_ATTEMPTS):
        try:
            return b"".join(PinnedObject(client, bucket, key, most=most).whole())
        except FlexibleChecksumError:
            continue
    raise StorageError(
        f"s3://{bucket}/{key}: {_WHOLE_ATTEMPTS} times not the bytes that its checksum is of"
    )


def download(client: Any, bucket: str, key: str, path: Path) -> None:
    """Write an object to a local file; what does not fit its checksum is read again.

    Raises:
        ScratchError: The file cannot be written.
        StorageError: The object never fits its checksum, or was replaced.
    """
    from botocore.exceptions import FlexibleChecksumError  # noqa: PLC0415

    for _ in range(_WHOLE_ATTEMPTS):
        source = PinnedObject(client, bucket, key)
        try:
            with ScratchCopy(path, uri=f"s3://{bucket}/{key}") as file:
                for chunk in source.whole():
                    file.write(chunk)
            return
        except FlexibleChecksumError:
            continue
    raise StorageError(
        f"s3://{bucket}/{key}: {_WHOLE_ATTEMPTS} times not the bytes that its checksum is of"
    )


def _body_errors() -> tuple[type[Exception], ...]:
    from botocore.exceptions import HTTPClientError, IncompleteReadError  # noqa: PLC0415

    return (HTTPClientError, IncompleteReadError)


def wait_after(num_failures: int) -> None:
    """Wait before the next attempt: longer each time, and so that many clients come apart."""
    longest = min(_MAX_WAIT_SECONDS, _FIRST_WAIT_SECONDS * 2**num_failures)
    time.sleep(random.uniform(longest / 2, longest))
