"""Choosing the storage for a URI."""

from __future__ import annotations

import functools

from transforms.errors import PreflightError
from transforms.storage.interface import Storage
from transforms.storage.local import LocalStorage
from transforms.storage.routes import StorageRoute, route_for
from transforms.storage.uris import scheme_of

HASTY_SECONDS = 10.0


def storage_for(uri: str) -> Storage:
    """Return the storage that holds ``uri``, with the credentials of its route.

    Raises:
        PreflightError: The scheme has no storage here.
    """
    return _storage(uri, hasty=False)


def hasty_storage_for(uri: str) -> Storage:
    """Return the same, but a request that is not answered gives up after about half a minute.

    A store that is slow has ten seconds for each answer, and up to three attempts.
    """
    return _storage(uri, hasty=True)


def _storage(uri: str, *, hasty: bool) -> Storage:
    scheme = scheme_of(uri)
    # Local paths have no routes: nothing is looked up for each of many small reads.
    route = route_for(uri) if scheme else StorageRoute("")
    return _client(scheme, route.profile, route.credentials_file, hasty)


@functools.cache
def _client(scheme: str, profile: str, credentials_file: str | None, hasty: bool) -> Storage:
    if scheme == "":
        return LocalStorage()
    if scheme == "s3":
        # It brings boto3: only where it is used.
        from transforms.storage.s3 import S3Storage  # noqa: PLC0415

        return S3Storage(StorageRoute("", profile, credentials_file), hasty=hasty)
    if scheme == "gs":
        # It brings Google's client, in the same way.
        from transforms.storage.gcs import GcsStorage  # noqa: PLC0415

        return GcsStorage(HASTY_SECONDS) if hasty else GcsStorage()
    raise PreflightError(
        f"{scheme}:// is not supported (local paths, s3:// and gs:// are); copy the data to a "
        "local folder and give its path"
    )
