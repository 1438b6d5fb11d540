"""A store behind a fault proxy: the program's storage on one side, an own client on the other."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fault_proxy import FaultProxy
from store_servers import (
    OWNER,
    GcsServer,
    S3Server,
    free_port,
    profiles_file,
    running_gcs,
)

from transforms.storage.gcs import GcsStorage
from transforms.storage.routes import StorageRoute
from transforms.storage.s3 import S3Storage

KINDS = ("s3", "gcs")
_EMULATOR = "STORAGE_EMULATOR_HOST"


@dataclass(frozen=True)
class Store:
    """One kind of store; ``put``, ``get`` and ``keys`` go past the proxy."""

    kind: str
    new_storage: Callable[[], S3Storage | GcsStorage]
    """Makes a storage that goes through the proxy, with a client of its own."""
    proxy: FaultProxy
    server: S3Server | GcsServer
    client: Any

    def new_root(self) -> str:
        """Make a bucket and return its URI."""
        return f"{'s3' if self.kind == 's3' else 'gs'}://{self.server.new_bucket()}"

    def put(self, uri: str, content: bytes) -> None:
        """Store an object."""
        bucket, key = split_uri(uri)
        if self.kind == "s3":
            self.client.put_object(Bucket=bucket, Key=key, Body=content)
        else:
            self.client.bucket(bucket).blob(key).upload_from_string(content)

    def get(self, uri: str) -> bytes:
        """Return an object's content."""
        bucket, key = split_uri(uri)
        if self.kind == "s3":
            return bytes(self.client.get_object(Bucket=bucket, Key=key)["Body"].read())
        return bytes(self.client.bucket(bucket).blob(key).download_as_bytes())

    def objects(self, root: str) -> dict[str, bytes]:
        """Return key below ``root`` to content, of all objects of its bucket."""
        bucket, prefix = split_uri(root)
        keys = self.keys(root)
        assert all(key.startswith(f"{prefix}/") for key in keys), keys
        scheme = root.partition("://")[0]
        return {key[len(prefix) + 1 :]: self.get(f"{scheme}://{bucket}/{key}") for key in keys}

    def variables(self, folder: Path) -> dict[str, str]:
        """Return the environment variables of a process that goes through the proxy."""
        if self.kind == "gcs":
            return {_EMULATOR: self.proxy.address}
        file = profiles_file(folder / "profiles", {"default": (OWNER, self.proxy.address)})
        return {"COSMOS_S3_PROFILE_PATH": str(file)}

    def keys(self, root: str) -> list[str]:
        """Return the keys of a bucket."""
        bucket, _ = split_uri(root)
        if self.kind == "s3":
            pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
            return [found["Key"] for page in pages for found in page.get("Contents", ())]
        return [blob.name for blob in self.client.list_blobs(bucket)]


def split_uri(uri: str) -> tuple[str, str]:
    """Return bucket and key."""
    bucket, _, key = uri.partition("://")[2].partition("/")
    return bucket, key


@contextlib.contextmanager
def s3_behind_proxy(folder: Path, server: S3Server) -> Iterator[Store]:
    """Put a proxy before a running S3 server."""
    with FaultProxy(server.port) as proxy:

        def new_storage() -> S3Storage:
            # Clients are kept by the profile's name, and with them what they may still retry.
            profile = uuid.uuid4().hex
            path = profiles_file(folder / profile, {profile: (OWNER, proxy.address)})
            return S3Storage(StorageRoute("", profile, str(path)))

        yield Store("s3", new_storage, proxy, server, server.client())


@contextlib.contextmanager
def gcs_behind_proxy(*, patience_seconds: float = 30.0) -> Iterator[Store]:
    """Run a GCS server of its own behind a proxy, to which this process is pointed."""
    port = free_port()
    with running_gcs(public_address=f"http://127.0.0.1:{port}") as server:
        client = server.client()
        before = os.environ.get(_EMULATOR)
        os.environ[_EMULATOR] = f"http://127.0.0.1:{port}"
        try:
            with FaultProxy(server.port, port=port) as proxy:
                yield Store("gcs", lambda: GcsStorage(patience_seconds), proxy, server, client)
        finally:
            if before is None:
                del os.environ[_EMULATOR]
            else:
                os.environ[_EMULATOR] = before
