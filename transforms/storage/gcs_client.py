"""Google's client: made once per process, with bounded waiting and errors that name the cure."""

from __future__ import annotations

import contextlib
import http
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import google.auth
import requests
import urllib3
from google.api_core.exceptions import (
    Forbidden,
    GoogleAPICallError,
    GoogleAPIError,
    NotFound,
    TooManyRequests,
    Unauthorized,
)
from google.api_core.retry import Retry
from google.auth.credentials import AnonymousCredentials, Credentials
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError
from google.auth.transport.requests import AuthorizedSession
from google.cloud.storage import Client
from google.cloud.storage.exceptions import DataCorruption, InvalidResponse
from google.cloud.storage.retry import DEFAULT_RETRY

from transforms.errors import PreflightError
from transforms.storage.interface import NotFoundError, StorageError, StoreAwayError
from transforms.storage.uris import bucket_and_key

EMULATOR_VARIABLE = "STORAGE_EMULATOR_HOST"
CREDENTIALS_VARIABLE = "GOOGLE_APPLICATION_CREDENTIALS"
CONNECT_SECONDS = 5.0
READ_SECONDS = 30.0
"""A connection that is silent for so long is given up and the request is sent again."""
_SCOPE = "https://www.googleapis.com/auth/devstorage.read_write"
_ERRORS = (
    GoogleAPIError,
    GoogleAuthError,
    DataCorruption,
    InvalidResponse,
    requests.RequestException,
    urllib3.exceptions.HTTPError,
)
_URL = re.compile(r"https?://\S+")
_MESSAGE = re.compile(r'"message":\s*"([^"]+)"')
_LOGIN = (
    f"set {CREDENTIALS_VARIABLE} to the path of a service account's key file, or run "
    "`gcloud auth application-default login`"
)


@dataclass(frozen=True)
class Connection:
    """The client, and the session for requests that it has no words for."""

    client: Client
    session: AuthorizedSession


@dataclass(frozen=True)
class Patience:
    """How long operations wait for a store."""

    retry: Retry
    """What is tried again, and for how long."""
    timeout: tuple[float, float]
    """Seconds to wait for a connection, and for the next byte, in one attempt."""

    @property
    def options(self) -> dict[str, Any]:
        """What Google's client takes both as."""
        return {"retry": self.retry, "timeout": self.timeout}

    @classmethod
    def of(cls, seconds: float) -> Patience:
        """Return that of operations that are begun again for so long; no attempt waits longer.

        The last attempt may begin just before the end: the whole takes up to twice as long.
        """
        timeout = min(CONNECT_SECONDS, seconds), min(READ_SECONDS, seconds)
        return cls(DEFAULT_RETRY.with_timeout(seconds), timeout)


def connect() -> Connection:
    """Return a new connection with application default credentials; an emulator needs none.

    Raises:
        PreflightError: There are no credentials.
    """
    credentials = AnonymousCredentials() if os.environ.get(EMULATOR_VARIABLE) else _credentials()
    # Objects and buckets are named without a project; the client wants one all the same.
    client = Client(project="none", credentials=credentials)
    return Connection(client, AuthorizedSession(credentials))


def _credentials() -> Credentials:
    try:
        return google.auth.default(scopes=[_SCOPE])[0]
    except DefaultCredentialsError:
        named = os.environ.get(CREDENTIALS_VARIABLE)
        found = (
            f"{CREDENTIALS_VARIABLE}={named} names no usable key file"
            if named
            else "there are none on this machine"
        )
        # The library's own text may quote the key file.
        raise PreflightError(f"gs:// needs Google credentials: {found}; {_LOGIN}") from None


@contextlib.contextmanager
def named_errors(uri: str) -> Iterator[None]:
    """Raise what Google's libraries raise as errors of storage that name object and cure.

    Their own texts hold URLs, and the URL of an upload is a key to it: they are left out, and the
    errors are not chained, because tracebacks show them.

    Raises:
        NotFoundError: There is no such object or bucket.
        StoreAwayError: The store cannot be reached, or would refuse anything.
        StorageError: The store refuses this.
    """
    try:
        yield
    except NotFound:
        bucket = bucket_and_key(uri)[0]
        raise NotFoundError(f"{uri}: no such object, or no bucket {bucket}") from None
    except _ERRORS as error:
        cause = getattr(error, "cause", None) or error
        gave_up = "" if cause is error else ", tried several times"
        message = f"{uri}: {_words(cause)}{gave_up}; {_cure(uri, cause)}"
        raise (StoreAwayError if _is_away(cause) else StorageError)(message) from None


@contextlib.contextmanager
def needed_bucket(uri: str) -> Iterator[None]:
    """Raise StorageError for what can only be missing when the bucket is."""
    try:
        yield
    except NotFoundError:
        bucket = bucket_and_key(uri)[0]
        raise StorageError(
            f"{uri}: there is no bucket {bucket}; mend the name, or make the bucket"
        ) from None


def _is_away(error: Exception) -> bool:
    """Return whether the error would be the answer to a question about any object."""
    if isinstance(error, GoogleAPICallError):
        refused = isinstance(error, (Unauthorized, TooManyRequests))
        return refused or int(error.code or 0) >= 500
    if isinstance(error, InvalidResponse):
        return int(error.response.status_code) >= 500
    return not isinstance(error, DataCorruption)


def _words(error: Exception) -> str:
    """Return what went wrong in one line: code and Google's sentence, without URLs."""
    if isinstance(error, GoogleAPICallError):
        told = [str(one.get("message", "")) for one in error.errors if isinstance(one, dict)]
        sentence = (told or _MESSAGE.findall(error.message) or [""])[0]
        return f"HTTP {_status(error.code or 0)} {_without_urls(sentence)}".rstrip()
    if isinstance(error, InvalidResponse):
        return f"HTTP {_status(error.response.status_code)}"
    if isinstance(error, DataCorruption):
        return "what arrived is not what was sent (checksum)"
    if isinstance(error, GoogleAuthError):
        return f"{type(error).__name__}: the credentials were refused or could not be renewed"
    return f"the connection failed ({type(error).__name__})"


def _status(code: int) -> str:
    known = {status.value: status.phrase for status in http.HTTPStatus}
    return f"{int(code)} {known.get(int(code), '')}".rstrip()


def _without_urls(text: str) -> str:
    return _URL.sub("URL", text).replace("\n", " ")[:300]


def _cure(uri: str, error: Exception) -> str:
    if isinstance(error, (Unauthorized, GoogleAuthError)):
        return _LOGIN
    if isinstance(error, Forbidden):
        bucket = bucket_and_key(uri)[0]
        return f"give this account the role Storage Object User on the bucket {bucket}"
    if isinstance(error, TooManyRequests):
        return "the store asks for fewer requests; run again later, or with fewer workers"
    if isinstance(error, DataCorruption):
        return "run the command again"
    host = os.environ.get(EMULATOR_VARIABLE)
    place = f"{EMULATOR_VARIABLE}={host}" if host else "storage.googleapis.com"
    return f"see whether {place} can be reached, then run the command again"
