"""Requests to presigned URLs: what is tried again, what is not, and errors without the query."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import TypeVar

import requests
import urllib3

from transforms.archives.presigned_url import shown_url
from transforms.storage.interface import StorageError

ATTEMPTS = 3
"""How often a transfer is begun that makes no progress (contract §6.6)."""
PAUSE_SECONDS = 2.0
"""Before the second attempt; twice as long before the third."""
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses that may be gone at the next attempt."""
_BROKEN = (
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
    requests.exceptions.ContentDecodingError,
    urllib3.exceptions.HTTPError,
    ConnectionError,
)
_CODE = re.compile(rb"<Code>([A-Za-z0-9]{1,64})</Code>")
_ERROR_BYTES = 4096
_CURES = {
    "ExpiredToken": "the credentials behind the URL have expired; make a new URL",
    "SignatureDoesNotMatch": "the URL was changed, or is for another method; make a new URL",
    "EntityTooLarge": "the store takes no object of this size at once; give "
    "output_presigned_multipart",
    "NoSuchUpload": "the upload was completed or aborted; begin a new one",
    "NoSuchKey": "there is no such object; upload the archive first",
    "NoSuchBucket": "there is no such bucket",
}
_Result = TypeVar("_Result")


class BrokenTransferError(Exception):
    """The connection broke, or the store is busy: another attempt may succeed.

    Args:
        why: In a few words, without the URL.
        progressed: Whether bytes arrived that need not be sent again.
    """

    def __init__(self, why: str, *, progressed: bool = False) -> None:
        super().__init__(why)
        self.why = why
        self.progressed = progressed


def new_session() -> requests.Session:
    """Return a session that adds no credentials of its own, such as those of a ``.netrc``."""
    session = requests.Session()
    session.auth = lambda request: request
    # What is packed on the way would have another length.
    session.headers["Accept-Encoding"] = "identity"
    return session


def tried_again(transfer: Callable[[], _Result], *, what: str, url: str) -> _Result:
    """Return what the transfer returns, begun up to three times; progress starts the count anew.

    Args:
        transfer: Does the work; may raise BrokenTransferError.
        what: The option that gave the URL.
        url: The URL, of which errors show no more than the path.

    Raises:
        StorageError: It failed each time, or for a reason that lasts.
    """
    attempt = 0
    while True:
        attempt += 1
        why, progressed = "", False
        try:
            return transfer()
        except BrokenTransferError as error:
            why, progressed = error.why, error.progressed
        except _BROKEN as error:
            why = broken_words(error)
        except requests.RequestException as error:
            raise StorageError(f"{what}={shown_url(url)}: {type(error).__name__}") from None
        if progressed:
            attempt = 0
        elif attempt >= ATTEMPTS:
            # Not chained: the errors of the library quote the whole URL.
            raise StorageError(
                f"{what}={shown_url(url)}: {why}, {ATTEMPTS} times; see whether the address can be "
                "reached, then give the same command again"
            ) from None
        time.sleep(PAUSE_SECONDS * max(1, attempt))


def broken_words(error: Exception) -> str:
    """Return how a connection broke, without the URL that the library's text quotes."""
    if isinstance(error, requests.Timeout) or "timed out" in str(error):
        return "the other side was silent for too long"
    return f"the connection broke ({type(error).__name__})"


def check_answer(response: requests.Response, *, what: str, url: str) -> None:
    """Raise unless the answer is a success.

    Raises:
        BrokenTransferError: The store is busy or has trouble.
        StorageError: It refuses.
    """
    status = response.status_code
    if 200 <= status < 300:
        return
    if status in _PASSING:
        raise BrokenTransferError(f"HTTP {status}")
    body = response.raw.read(_ERROR_BYTES, decode_content=True) or b""
    found = _CODE.search(body)
    code = found.group(1).decode() if found else ""
    raise StorageError(
        f"{what}={shown_url(url)}: HTTP {status}{' ' + code if code else ''}: "
        f"{_cure(status, code, body)}"
    )


def _cure(status: int, code: str, body: bytes) -> str:
    if code in _CURES:
        return _CURES[code]
    if b"expired" in body:
        return "the URL has expired; make a new one"
    if status in (401, 403):
        return "the store refuses the URL: expired, changed, or for another method; make a new one"
    if status in (404, 410):
        return "there is nothing at this address; see whether the archive is there"
    return "the store refuses; see whether the URL is right"
