"""Downloading an archive: bounded, resumed where it broke off, never longer than announced."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import requests

from transforms.archives.presigned_url import shown_url
from transforms.archives.transfer import (
    BrokenTransferError,
    broken_words,
    check_answer,
    new_session,
    tried_again,
)
from transforms.storage.interface import StorageError

TIMEOUT_SECONDS = 60.0
"""For a connection, and for the next byte (contract §6.6)."""
MAX_BYTES = 1 << 40
"""The largest archive that is fetched."""
_BLOCK_BYTES = 1 << 16
"""Of a block that is cut, nothing is kept."""
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)")


def download(url: str, path: Path, *, what: str, max_bytes: int = MAX_BYTES) -> int:
    """Fetch a URL into a new file and return its size in bytes.

    Args:
        url: A presigned URL for GET.
        path: The file.
        what: The option that gave the URL, for errors.
        max_bytes: More is refused; so is more than the disk has room for.

    Raises:
        StorageError: It cannot be fetched, is too large, or changed while it was fetched.
    """
    transfer = _Download(url, path, what=what, max_bytes=max_bytes)
    path.unlink(missing_ok=True)
    tried_again(transfer.go_on, what=what, url=url)
    return transfer.num_bytes


class _Download:
    """One download, which may take several requests."""

    def __init__(self, url: str, path: Path, *, what: str, max_bytes: int) -> None:
        self._url = url
        self._path = path
        self._name = f"{what}={shown_url(url)}"
        self._what = what
        self._max_bytes = max_bytes
        self._session = new_session()
        self._version: str | None = None
        self._furthest = 0
        self.num_bytes = 0

    def go_on(self) -> None:
        """Fetch what is missing.

        Raises:
            BrokenTransferError: It broke off again.
            StorageError: It cannot be fetched.
        """
        headers = {}
        if self.num_bytes and self._version:
            headers = {"Range": f"bytes={self.num_bytes}-", "If-Range": self._version}
        with self._session.get(
            self._url, headers=headers, timeout=TIMEOUT_SECONDS, stream=True
        ) as response:
            check_answer(response, what=self._what, url=self._url)
            total = self._begin(response)
            try:
                self._receive(response, total)
            except (requests.RequestException, BrokenTransferError) as error:
                why = error.why if isinstance(error, BrokenTransferError) else broken_words(error)
                # One that begins anew each time and breaks at the same place gets nowhere.
                progressed = self.num_bytes > self._furthest
                self._furthest = max(self._furthest, self.num_bytes)
                raise BrokenTransferError(why, progressed=progressed) from None

    def _begin(self, response: requests.Response) -> int | None:
        """Set where the answer's bytes belong; return the size of the whole, None: not told."""
        if response.status_code == 206:
            match = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
            if match is None or int(match.group(1)) != self.num_bytes:
                raise StorageError(f"{self._name}: the store sent another range than was asked for")
            total: int | None = int(match.group(2))
        else:
            # From the start: it is another version, or the store cannot send a part.
            self.num_bytes = 0
            length = response.headers.get("Content-Length", "")
            total = int(length) if length.isdecimal() else None
        version = response.headers.get("ETag", "")
        # A weak one does not promise the same bytes.
        self._version = version if version.startswith('"') else None
        self._check_size(total or 0)
        return total

    def _receive(self, response: requests.Response, total: int | None) -> None:
        mode = "r+b" if self.num_bytes else "wb"
        try:
            with self._path.open(mode) as file:
                file.seek(self.num_bytes)
                file.truncate()
                for block in response.iter_content(_BLOCK_BYTES):
                    self._check_size(self.num_bytes + len(block))
                    file.write(block)
                    self.num_bytes += len(block)
        except requests.RequestException:
            raise
        except OSError as error:
            raise StorageError(f"{self._path}: cannot be written: {error.strerror}") from error
        if total is not None and self.num_bytes < total:
            raise BrokenTransferError(f"{self.num_bytes} of {total} bytes arrived")

    def _check_size(self, num_bytes: int) -> None:
        if num_bytes > self._max_bytes:
            raise StorageError(
                f"{self._name}: has more than {self._max_bytes} bytes, the most that is fetched; "
                "split the archive"
            )
        free = shutil.disk_usage(self._path.parent).free
        if num_bytes - self.num_bytes > free:
            raise StorageError(
                f"{self._name}: has {num_bytes} bytes, {self._path.parent} has room for {free}; "
                "name a larger folder with --scratch_path"
            )
