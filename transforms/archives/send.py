"""Sending an archive to a presigned URL, at once or in parts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from transforms.archives.transfer import check_answer, new_session, tried_again
from transforms.storage.interface import StorageError

TIMEOUT_SECONDS = 3600.0
"""For a connection, and for the store to take what was sent (contract §6.6)."""
PART_BYTES = 4_500_000_000
"""Size of every part but the last (contract §6.6)."""
_BLOCK_BYTES = 1 << 20


def send(path: Path, url: str, *, what: str) -> None:
    """Send a file with one PUT, begun up to three times.

    Args:
        path: The file.
        url: A presigned URL for PUT.
        what: The option that gave it, for errors.

    Raises:
        StorageError: It could not be sent.
    """
    _put(path, 0, path.stat().st_size, url, what=what)


def send_parts(path: Path, urls: Sequence[str], *, what: str, part_bytes: int = PART_BYTES) -> int:
    """Send a file as the parts of one upload and return how many there were.

    Whoever made the URLs completes the upload: the store lists the parts and their ETags.

    Args:
        path: The file.
        urls: Presigned URLs for PUT of part 1, 2, ...; those that are not needed are left unused.
        what: The option that gave them, for errors.
        part_bytes: Size of every part but the last.

    Raises:
        StorageError: The parts are too few for the file, or one could not be sent.
    """
    num_bytes = path.stat().st_size
    num_parts = max(1, -(-num_bytes // part_bytes))
    if num_parts > len(urls):
        raise StorageError(
            f"{what}: the archive has {num_bytes} bytes and needs {num_parts} parts of "
            f"{part_bytes} bytes, but there are URLs for {len(urls)}; give more"
        )
    for number, url in enumerate(urls[:num_parts]):
        start = number * part_bytes
        length = min(part_bytes, num_bytes - start)
        _put(path, start, length, url, what=f"{what} part {number + 1}")
    return num_parts


def _put(path: Path, start: int, length: int, url: str, *, what: str) -> None:
    session = new_session()

    def put() -> None:
        with (
            path.open("rb") as file,
            session.put(
                url,
                data=_Part(file, start, length),
                timeout=TIMEOUT_SECONDS,
                stream=True,
                # The body would have to be sent again, to an address that was not given.
                allow_redirects=False,
            ) as response,
        ):
            check_answer(response, what=what, url=url)

    tried_again(put, what=what, url=url)


class _Part:
    """Bytes ``[start, start + length)`` of a file, as a body of a request that knows its length."""

    def __init__(self, file: BinaryIO, start: int, length: int) -> None:
        self._file = file
        self._length = length
        self._left = length
        file.seek(start)

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[bytes]:
        while block := self.read():
            yield block

    def read(self, _size: int = -1) -> bytes:
        """Return the next bytes: more than senders ask for, who take small pieces."""
        block = self._file.read(min(_BLOCK_BYTES, self._left))
        self._left -= len(block)
        return block
