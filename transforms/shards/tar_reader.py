"""Reading a tar of this program byte by byte: anything it would not have written is an error."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from transforms.errors import CurateError
from transforms.finding import Watch
from transforms.shards.tar_writer import tar_end, tar_header, tar_padding

_BLOCK_BYTES = 512
_READ_BYTES = 1 << 20
_SIZE_FIELD = slice(124, 135)
"""Octal digits of a member's size in its header."""


class BadTarError(CurateError):
    """A tar is not what ``TarWriter`` writes; the message is the reason alone."""


class TarReader:
    """Reads members whose names are known, in their order; holds one block in memory."""

    def __init__(self, file: BinaryIO, watch: Watch) -> None:
        """Read from ``file``, which stands at its start."""
        self._file = file
        self._watch = watch
        self._position = 0

    def member(self, name: str, *, max_bytes: int | None = None) -> Iterator[bytes]:
        """Yield the content of the next member in blocks; it must be read to its end.

        Raises:
            BadTarError: The next member has another name, is cut off or damaged, or has more than
                ``max_bytes``.
        """
        header = self._read(_BLOCK_BYTES)
        found = header[:100].rstrip(b"\0").decode("ascii", "replace")
        if found != name:
            raise BadTarError(f"{name} was expected, {found or 'the end'} is there")
        digits = header[_SIZE_FIELD]
        if not digits.isdigit() or set(digits) & set(b"89"):
            raise BadTarError(f"{name}: its header is damaged")
        num_bytes = int(digits, 8)
        if header != tar_header(name, num_bytes):
            raise BadTarError(f"{name}: its header is damaged")
        if max_bytes is not None and num_bytes > max_bytes:
            raise BadTarError(f"{name}: has {num_bytes} bytes, at most {max_bytes} make sense")
        left = num_bytes
        while left:
            block = self._read(min(left, _READ_BYTES))
            left -= len(block)
            yield block
        if self._read(-num_bytes % _BLOCK_BYTES) != tar_padding(num_bytes):
            raise BadTarError(f"{name}: is followed by other bytes than zeros")

    def finish(self) -> None:
        """Check that the archive ends here, as it should. Raises BadTarError."""
        end = tar_end(self._position)
        if self._read(len(end)) != end or self._file.read(1):
            raise BadTarError("goes on behind its last member, or does not end as a tar")

    def _read(self, num_bytes: int) -> bytes:
        try:
            data = self._file.read(num_bytes)
        except OSError as error:
            raise BadTarError(f"cannot be read: {error.strerror or error}") from error
        self._watch(len(data))
        self._position += len(data)
        if len(data) != num_bytes:
            raise BadTarError(f"is cut off at byte {self._position}")
        return data
