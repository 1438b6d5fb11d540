"""Storing objects: whole or not at all, conditional where asked, in bounded memory.

A write whose answer is lost is sent again by boto3; a conditional one then meets its own object.
Each object therefore carries a name of the write that made it, ``x-amz-meta-writer``.
"""

from __future__ import annotations

import contextlib
import io
import math
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from transforms.storage.s3_errors import error_code, http_status
from transforms.storage.s3_head import head

PUT_BYTES = 64 << 20
"""Larger files go in parts: one is sent again when the connection breaks, not the whole file."""
PART_BYTES = 32 << 20
MAX_PARTS = 10_000
WRITER = "writer"
_CONFLICT_ATTEMPTS = 6
_CONFLICT_WAIT_SECONDS = 0.25


class Upload:
    """One object that is to be stored.

    Args:
        client: The boto3 client.
        bucket: Its bucket.
        key: Its key.
        condition: ``IfNoneMatch`` or ``IfMatch`` with its value; empty: whatever is there.
        in_parts: Whether it goes in parts however small it is.
    """

    def __init__(
        self,
        client: Any,
        bucket: str,
        key: str,
        condition: dict[str, str] | None = None,
        *,
        in_parts: bool = False,
    ) -> None:
        self._client = client
        self._where = {"Bucket": bucket, "Key": key}
        self._condition = condition or {}
        self._in_parts = in_parts
        self._token = uuid.uuid4().hex

    def store(self, data: bytes | Path) -> bool:
        """Store the object; return False when the condition does not hold.

        Raises:
            ClientError: The store refuses.
            OSError: The local file cannot be read.
        """
        from botocore.exceptions import ClientError  # noqa: PLC0415

        for attempt in range(_CONFLICT_ATTEMPTS):
            try:
                self._send(data)
                return True
            except ClientError as error:
                code, status = error_code(error), http_status(error)
                if self._condition and (status == 412 or code == "PreconditionFailed"):
                    return self._is_own()
                if "IfMatch" in self._condition and code in ("NoSuchKey", "404"):
                    return False
                # Two conditional writes at the same moment: the store asks for another try.
                if code != "ConditionalRequestConflict" or attempt == _CONFLICT_ATTEMPTS - 1:
                    raise
            time.sleep(_CONFLICT_WAIT_SECONDS * 2**attempt)
        raise AssertionError("unreachable")

    def _send(self, data: bytes | Path) -> None:
        if isinstance(data, bytes):
            if self._in_parts:
                self._send_parts(io.BytesIO(data), len(data))
            else:
                self._put(data)
            return
        num_bytes = data.stat().st_size
        with data.open("rb") as file:
            if self._in_parts or num_bytes > PUT_BYTES:
                self._send_parts(file, num_bytes)
            else:
                self._put(file)

    def _put(self, body: bytes | BinaryIO) -> None:
        metadata = {WRITER: self._token}
        self._client.put_object(**self._where, Body=body, Metadata=metadata, **self._condition)

    def _send_parts(self, file: BinaryIO, num_bytes: int) -> None:
        part_bytes = max(PART_BYTES, math.ceil(num_bytes / MAX_PARTS))
        with self._multipart() as upload_id:
            parts = []
            for number in range(1, math.ceil(num_bytes / part_bytes) + 1):
                answer = self._client.upload_part(
                    **self._where,
                    UploadId=upload_id,
                    PartNumber=number,
                    Body=file.read(part_bytes),
                )
                checksums = {name: answer[name] for name in answer if name == "ChecksumCRC32"}
                parts.append({"PartNumber": number, "ETag": answer["ETag"], **checksums})
            self._complete(upload_id, parts)

    def _complete(self, upload_id: str, parts: list[dict[str, Any]]) -> None:
        from botocore.exceptions import ClientError  # noqa: PLC0415

        try:
            self._client.complete_multipart_upload(
                **self._where,
                UploadId=upload_id,
                MultipartUpload={"Parts": parts},
                **self._condition,
            )
        except ClientError as error:
            # Sent again after its answer was lost, it meets an upload that is complete and gone.
            if error_code(error) != "NoSuchUpload" or not self._is_own():
                raise

    @contextlib.contextmanager
    def _multipart(self) -> Iterator[str]:
        """Begin an upload in parts; give up what was sent when the context ends by an error."""
        made = self._client.create_multipart_upload(
            **self._where, Metadata={WRITER: self._token}, ChecksumAlgorithm="CRC32"
        )
        upload_id = str(made["UploadId"])
        try:
            yield upload_id
        except BaseException:
            self._abort(upload_id)
            raise

    def _abort(self, upload_id: str) -> None:
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

        # The error that ended the upload is the one to tell; a lifecycle rule removes the parts.
        with contextlib.suppress(BotoCoreError, ClientError):
            self._client.abort_multipart_upload(**self._where, UploadId=upload_id)

    def _is_own(self) -> bool:
        """Return whether the object that is there was stored by this very upload."""
        from botocore.exceptions import ClientError  # noqa: PLC0415

        try:
            found = head(self._client, **self._where)
        except ClientError as error:
            if http_status(error) == 404:
                return False
            raise
        return bool(found.get("Metadata", {}).get(WRITER) == self._token)
