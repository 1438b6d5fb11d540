"""Object stores of the S3 kind as storage: AWS, and stores of others that speak its language."""

from __future__ import annotations

import contextlib
import email.utils
import itertools
import os
import uuid
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, cast

from transforms.storage.block_reader import BlockReader
from transforms.storage.interface import (
    NotFoundError,
    ObjectStat,
    ProblemHandler,
    StorageError,
    StoreAwayError,
)
from transforms.storage.local import TEMPORARY_PREFIX
from transforms.storage.routes import StorageRoute
from transforms.storage.s3_body import PinnedObject, download, read_whole, told, wait_after
from transforms.storage.s3_client import client_for
from transforms.storage.s3_errors import file_errors, http_status, named_errors, refused_delete
from transforms.storage.s3_head import head
from transforms.storage.s3_upload import Upload
from transforms.storage.scratch_copy import remove_copy
from transforms.storage.uris import bucket_and_key, join

_DELETE_AT_ONCE = 1000
_DELETE_ATTEMPTS = 5


class S3Storage:
    """Objects in buckets. Nothing half-written is ever visible, so there is nothing to sweep.

    Args:
        route: Profile and credentials file; the client is made when it is first needed.
        hasty: Whether a request gives up after about half a minute.
    """

    def __init__(self, route: StorageRoute, *, hasty: bool = False) -> None:
        self._route = route
        self._hasty = hasty

    def read(self, uri: str, *, most: int | None = None) -> bytes:
        """Return the whole object, checked against its checksum; at most ``most`` bytes."""
        with self._errors(uri):
            return read_whole(self._client, *bucket_and_key(uri), most=most)

    def read_range(self, uri: str, start: int, length: int) -> bytes:
        """Return bytes ``[start, start + length)``, fewer only at the object's end."""
        with self._errors(uri):
            return self._pinned(uri).read_range(start, length)[0]

    def open_seekable(self, uri: str) -> BinaryIO:
        """Return a file that fetches blocks; all of them of one version of the object."""
        source = self._pinned(uri)

        def fetch(start: int, length: int) -> tuple[bytes, int]:
            with self._errors(uri):
                return source.read_range(start, length)

        return cast(BinaryIO, BlockReader(fetch, name=uri))

    def stat(self, uri: str) -> ObjectStat:
        """Return size, ETag as the version, and the store's time."""
        with self._errors(uri):
            found = head(self._client, **_where(uri))
        return ObjectStat(
            uri=uri,
            num_bytes=told(found, "ContentLength", uri),
            version=told(found, "ETag", uri),
            modified_at=told(found, "LastModified", uri).timestamp(),
        )

    def exists(self, uri: str) -> bool:
        """Return whether there is an object at ``uri``."""
        if not bucket_and_key(uri)[1]:
            return False
        try:
            self.stat(uri)
        except NotFoundError:
            return False
        return True

    def write(self, uri: str, data: bytes | Path) -> None:
        """Store ``data``, replacing what is there."""
        self._store(uri, data, {})

    def staging(self, root: str, scratch: Path) -> Path:
        """Return a folder in scratch."""
        return scratch / "staging"

    def publish(self, uri: str, path: Path) -> None:
        """Upload the file and remove it."""
        self.write(uri, path)
        path.unlink()

    def create_if_absent(self, uri: str, data: bytes | Path) -> bool:
        """Store ``data`` unless an object is there; the store decides between two writers."""
        return self._store(uri, data, {"IfNoneMatch": "*"})

    def create_in_parts_if_absent(self, uri: str, data: bytes) -> bool:
        """Do as ``create_if_absent`` does with a large file, whatever the size; for checks."""
        with self._errors(uri):
            condition = {"IfNoneMatch": "*"}
            upload = Upload(self._client, *bucket_and_key(uri), condition, in_parts=True)
            return upload.store(data)

    def replace_if(self, uri: str, data: bytes, version: str) -> bool:
        """Replace the object if it still has the ETag ``version``."""
        return self._store(uri, data, {"IfMatch": version})

    def list(self, uri: str, on_problem: ProblemHandler | None = None) -> Iterator[ObjectStat]:
        """Yield every object below ``uri``, sorted by key, a page of 1000 per request.

        Left out are what consoles put down for a folder (an empty object whose key ends with a
        slash) and probes of this program.
        """
        bucket, key = bucket_and_key(uri)
        prefix = key.rstrip("/") + "/" if key else ""
        with self._errors(uri):
            pages = iter(
                self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
            )
        while True:
            with self._errors(uri):
                page = next(pages, None)
            if page is None:
                return
            # What is no listing must not look like an empty one.
            told(page, "IsTruncated", uri)
            for found in page.get("Contents", ()):
                name = found["Key"].rsplit("/", 1)[-1]
                if name and not name.startswith(TEMPORARY_PREFIX):
                    yield _listed(bucket, found)

    def delete(self, uri: str) -> None:
        """Remove the object; nothing happens if there is none."""
        with self._errors(uri):
            self._client.delete_object(**_where(uri))

    def delete_if(self, uri: str, version: str) -> bool:
        """Remove the object if it still has the ETag ``version``.

        Some stores pass over the condition: so each attempt is sent once, and the version is asked
        for just before.
        """
        problem: StoreAwayError | None = None
        for attempt in range(_DELETE_ATTEMPTS):
            if attempt:
                wait_after(attempt)
            try:
                if self.stat(uri).version != version:
                    return False
                with self._errors(uri):
                    return self._deleted(uri, version)
            except NotFoundError:
                # By an attempt before, perhaps, whose answer was lost.
                return attempt > 0
            except StoreAwayError as error:
                problem = error
        assert problem is not None
        raise problem

    def delete_many(self, uris: Iterable[str]) -> None:
        """Remove objects, a thousand per request; the store takes those of one in any order."""
        waiting = iter(uris)
        while some := _next_batch(waiting):
            buckets = {bucket_and_key(uri)[0] for uri in some}
            for bucket in sorted(buckets):
                self._delete(bucket, [uri for uri in some if bucket_and_key(uri)[0] == bucket])

    def clock(self, uri: str) -> float:
        """Return the store's time, from the head of its answer to a question about ``uri``."""
        from botocore.exceptions import ClientError  # noqa: PLC0415

        with self._errors(uri):
            try:
                answer = head(self._client, **_where(uri))
            except ClientError as error:
                if http_status(error) != 404:
                    raise
                answer = error.response
        date = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
        if date is None:
            raise StorageError(f"{uri}: the store does not tell the time (no Date in its answers)")
        return email.utils.parsedate_to_datetime(date).timestamp()

    def sweep(self, uri: str, *, deep: bool = True) -> int:
        """Return 0: killed writers leave no object. Their parts a lifecycle rule removes."""
        return 0

    @contextlib.contextmanager
    def new_folders(self, uri: str) -> Iterator[None]:
        """Do nothing: there are no folders."""
        yield

    @contextlib.contextmanager
    def local_file(self, uri: str, scratch: Path) -> Iterator[Path]:
        """Download the object into scratch; remove the copy at the context's end."""
        path = scratch / f"{TEMPORARY_PREFIX}{uuid.uuid4().hex}-{_tail(uri)}"
        try:
            with self._errors(uri):
                download(self._client, *bucket_and_key(uri), path)
            yield path
        finally:
            remove_copy(path)

    @property
    def _client(self) -> Any:
        return client_for(self._route, hasty=self._hasty)

    def _pinned(self, uri: str) -> PinnedObject:
        return PinnedObject(self._client, *bucket_and_key(uri))

    def _errors(self, uri: str) -> contextlib.AbstractContextManager[None]:
        endpoint = self._client.meta.endpoint_url
        return named_errors(uri, profile=self._route.profile, endpoint=endpoint)

    def _store(self, uri: str, data: bytes | Path, condition: dict[str, str]) -> bool:
        source = f"{uri}: {data}" if isinstance(data, Path) else uri
        with self._errors(uri), file_errors(source):
            return Upload(self._client, *bucket_and_key(uri), condition).store(data)

    def _deleted(self, uri: str, version: str) -> bool:
        from botocore.exceptions import ClientError  # noqa: PLC0415

        client = client_for(self._route, hasty=True, once=True)
        try:
            client.delete_object(**_where(uri), IfMatch=version)
        except ClientError as error:
            if http_status(error) == 412:
                return False
            if http_status(error) != 501:
                raise
            # The store knows no condition here.
            client.delete_object(**_where(uri))
        return True

    def _delete(self, bucket: str, uris: Sequence[str]) -> None:
        keys = [bucket_and_key(uri)[1] for uri in uris]
        for attempt in range(_DELETE_ATTEMPTS):
            if attempt:
                wait_after(attempt)
            with self._errors(uris[0]):
                answer = self._client.delete_objects(
                    Bucket=bucket,
                    Delete={"Objects": [{"Key": key} for key in keys], "Quiet": True},
                )
            refused = answer.get("Errors", [])
            if not refused:
                return
            keys = [one["Key"] for one in refused]
        place = f"{join(f's3://{bucket}', keys[0])} and {len(keys) - 1} others"
        place += f" (bucket {bucket}, profile {self._route.profile})"
        raise refused_delete(place, str(refused[0].get("Code", "")))


def _next_batch(uris: Iterator[str]) -> list[str]:
    """Return the next URIs for one request to delete; none at the end."""
    return list(itertools.islice(uris, _DELETE_AT_ONCE))


def _where(uri: str) -> dict[str, str]:
    bucket, key = bucket_and_key(uri)
    return {"Bucket": bucket, "Key": key}


def _listed(bucket: str, found: dict[str, Any]) -> ObjectStat:
    return ObjectStat(
        uri=f"s3://{bucket}/{found['Key']}",
        num_bytes=found["Size"],
        version=found["ETag"],
        modified_at=found["LastModified"].timestamp(),
    )


def _tail(uri: str) -> str:
    """Return the end of the name, with its ending: short, and no more than a name."""
    return os.path.basename(uri)[-40:].replace("\0", "")
