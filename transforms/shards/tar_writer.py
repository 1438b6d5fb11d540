"""Tar archives with the same bytes for the same members, and no copy of a member in memory."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from transforms.storage.interface import StorageError

_BLOCK_BYTES = 512

_RECORD_BYTES = 20 * _BLOCK_BYTES
"""Tars end on a full record, as GNU tar writes them."""

_MAX_NAME, _MAX_MEMBER = 100, 0o77777777777
"""What the fields of the header hold."""

_COPY_BYTES = 1 << 20


class TarWriter:
    """A USTAR archive in a local file: mtime 0, owner 0, mode 644, members in the order of adding.

    What ends without an error is a whole archive; otherwise the file is removed.
    """

    def __init__(self, path: Path) -> None:
        """Begin an archive at ``path``, replacing what is there."""
        self._path = path
        # Unbuffered: headers are small writes, and the system copies the rest from file to file.
        self._file = path.open("wb", buffering=0)

    def __enter__(self) -> TarWriter:
        """Return this writer."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Finish the archive, or remove it after an error."""
        try:
            if kind is None:
                self._finish()
        finally:
            self._file.close()
            if kind is not None:
                self._path.unlink(missing_ok=True)

    def add_bytes(self, name: str, data: bytes) -> None:
        """Add a small member."""
        self._write(tar_header(name, len(data)) + data + tar_padding(len(data)))

    def add_file(self, name: str, source: BinaryIO, num_bytes: int) -> None:
        """Add a member of ``num_bytes`` read from ``source``.

        Raises:
            StorageError: The source holds another number of bytes.
        """
        self._write(tar_header(name, num_bytes))
        number = _file_number(source)
        copied = (
            self._copy_read(source, num_bytes)
            if number is None
            else self._copy_file(number, num_bytes)
        )
        if number is not None:
            source.seek(copied)
        if copied != num_bytes or source.read(1):
            raise StorageError(
                f"{name}: expected {num_bytes} bytes, got "
                f"{'more' if copied == num_bytes else copied}; the file changed while it was packed"
            )
        self._write(tar_padding(num_bytes))

    def _copy_file(self, number: int, num_bytes: int) -> int:
        # The system copies from file to file: half the processor time of reading and writing.
        copied = 0
        while copied < num_bytes:
            sent = os.sendfile(self._file.fileno(), number, copied, num_bytes - copied)
            if sent == 0:
                break
            copied += sent
        return copied

    def _copy_read(self, source: BinaryIO, num_bytes: int) -> int:
        copied = 0
        while copied < num_bytes:
            data = source.read(min(_COPY_BYTES, num_bytes - copied))
            if not data:
                break
            self._write(data)
            copied += len(data)
        return copied

    def _write(self, data: bytes) -> None:
        # An unbuffered file may take less than it was given, for instance when the disk is full.
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) :]

    def _finish(self) -> None:
        self._write(tar_end(self._file.tell()))


def tar_header(name: str, num_bytes: int) -> bytes:
    """Return a USTAR header as GNU tar writes it (tarfile's changed between Python versions).

    Raises:
        StorageError: The name or the size does not fit.
    """
    encoded = name.encode()
    if len(encoded) > _MAX_NAME or num_bytes > _MAX_MEMBER:
        raise StorageError(
            f"{name}: a tar member needs a name of at most {_MAX_NAME} bytes and a size of at most "
            f"{_MAX_MEMBER}, got {len(encoded)} and {num_bytes}"
        )
    mode, zero = b"0000644\0", b"0000000\0"
    front = encoded.ljust(100, b"\0") + mode + zero + zero + b"%011o\0" % num_bytes
    front += b"%011o\0" % 0  # mtime
    # Regular file, no link name, no owner and group names, no device, no prefix.
    back = b"0" + bytes(100) + b"ustar\0" + b"00" + bytes(64) + zero + zero + bytes(167)
    checksum = sum(front) + 8 * ord(" ") + sum(back)
    return front + b"%06o\0 " % checksum + back


def tar_padding(num_bytes: int) -> bytes:
    """Return what follows a member of so many bytes."""
    return bytes(-num_bytes % _BLOCK_BYTES)


def tar_end(position: int) -> bytes:
    """Return what ends an archive whose members end at this byte."""
    end = 2 * _BLOCK_BYTES
    return bytes(end + -(position + end) % _RECORD_BYTES)


def _file_number(source: BinaryIO) -> int | None:
    """Return the file descriptor of a real file, None for anything else."""
    try:
        return source.fileno()
    except (AttributeError, OSError):
        return None
