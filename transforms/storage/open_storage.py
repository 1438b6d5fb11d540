"""Choosing the storage for a URI."""

from __future__ import annotations

import functools

from transforms.errors import PreflightError
from transforms.storage.interface import Storage
from transforms.storage.local import LocalStorage
from transforms.storage.uris import scheme_of


def storage_for(uri: str, *, profile: str = "default") -> Storage:
    """Return the storage that holds ``uri``; one client per process, scheme and profile.

    Raises:
        PreflightError: The scheme has no storage here.
    """
    return _client(scheme_of(uri), profile)


@functools.cache
def _client(scheme: str, profile: str) -> Storage:
    if scheme in ("", "file"):
        return LocalStorage()
    raise PreflightError(
        f"{scheme}:// is not supported yet (profile {profile!r}); copy the data to a local folder "
        "and give its path"
    )
