"""Local folders as storage."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat as stat_module
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from transforms.machine_locks import machine_lock
from transforms.storage.interface import (
    NotFoundError,
    ObjectStat,
    ProblemHandler,
    StorageError,
    TooLargeError,
)
from transforms.storage.sync import make_folders, sync_file, sync_folder

TEMPORARY_PREFIX = ".tmp-"
"""Names of unfinished files begin so; listings leave them out, a later run may sweep them."""


class LocalStorage:
    """Files below the local root, synced to disk and then published by rename or link."""

    def read(self, uri: str, *, most: int | None = None) -> bytes:
        """Return the whole file, unless it has more than ``most`` bytes."""
        if most is not None and (num_bytes := self.stat(uri).num_bytes) > most:
            raise TooLargeError(uri, most=most, num_bytes=num_bytes)
        with _named_errors(uri):
            return Path(uri).read_bytes()

    def read_range(self, uri: str, start: int, length: int) -> bytes:
        """Return bytes ``[start, start + length)``, fewer only at the file's end."""
        with _named_errors(uri), open(uri, "rb") as file:
            file.seek(start)
            return file.read(length)

    def open_seekable(self, uri: str) -> BinaryIO:
        """Return the file opened for reading."""
        with _named_errors(uri):
            return open(uri, "rb")

    def stat(self, uri: str) -> ObjectStat:
        """Return size and version (inode, size and time of change)."""
        with _named_errors(uri):
            return _object_stat(uri, os.stat(uri))

    def exists(self, uri: str) -> bool:
        """Return whether there is a file at ``uri``."""
        return os.path.isfile(uri)

    def write(self, uri: str, data: bytes | Path) -> None:
        """Store ``data``, replacing what is there."""
        with _named_errors(uri), _temporary(uri, data) as temporary:
            os.replace(temporary, uri)
            sync_folder(os.path.dirname(uri))

    def staging(self, root: str, scratch: Path) -> Path:
        """Return a hidden folder below ``root``: on its file system, files are only renamed."""
        return Path(root) / ".work" / "staging"

    def publish(self, uri: str, path: Path) -> None:
        """Move the file to its place, or copy it when it lies on another file system."""
        with _named_errors(uri):
            make_folders(os.path.dirname(uri))
            sync_file(str(path))
            try:
                path.replace(uri)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                self.write(uri, path)
                path.unlink()
            sync_folder(os.path.dirname(uri))

    def create_if_absent(self, uri: str, data: bytes | Path) -> bool:
        """Store ``data`` unless a file is there; a hard link decides between two writers."""
        if os.path.exists(uri):
            return False
        with _named_errors(uri), _temporary(uri, data) as temporary:
            try:
                os.link(temporary, uri)
            except FileExistsError:
                return False
            sync_folder(os.path.dirname(uri))
        return True

    def replace_if(self, uri: str, data: bytes, version: str) -> bool:
        """Replace the file if it still has ``version``; a lock on this machine orders writers."""
        with machine_lock("replace:" + uri):
            if not os.path.exists(uri) or self.stat(uri).version != version:
                return False
            self.write(uri, data)
        return True

    def list(self, uri: str, on_problem: ProblemHandler | None = None) -> Iterator[ObjectStat]:
        """Yield every file below ``uri``, sorted by path; links to folders above are problems."""
        report = on_problem or _raise_problem
        if os.path.isdir(uri):
            yield from _walk(uri, _folders_above(uri), report)

    def delete(self, uri: str) -> None:
        """Remove the file; nothing happens if there is none."""
        with _named_errors(uri), contextlib.suppress(FileNotFoundError):
            os.unlink(uri)

    def delete_if(self, uri: str, version: str) -> bool:
        """Remove the file if it still has ``version``; a lock on this machine orders writers."""
        with machine_lock("replace:" + uri):
            if not os.path.exists(uri) or self.stat(uri).version != version:
                return False
            self.delete(uri)
        return True

    def delete_many(self, uris: Iterable[str]) -> None:
        """Remove the files, one after the other."""
        for uri in uris:
            self.delete(uri)

    def clock(self, uri: str) -> float:
        """Return the time by the clock of the file system: that of a file written now beside it."""
        probe = os.path.join(os.path.dirname(uri), TEMPORARY_PREFIX + uuid.uuid4().hex)
        self.write(probe, b"")
        try:
            return self.stat(probe).modified_at
        finally:
            self.delete(probe)

    def sweep(self, uri: str, *, deep: bool = True) -> int:
        """Remove temporaries below the folder, not through links to folders; return how many."""
        removed = 0
        with _named_errors(uri):
            for folder, folders, files in os.walk(uri):
                unfinished = [name for name in folders if name.startswith(TEMPORARY_PREFIX)]
                for name in unfinished:
                    shutil.rmtree(os.path.join(folder, name), ignore_errors=True)
                for name in files:
                    if name.startswith(TEMPORARY_PREFIX):
                        self.delete(os.path.join(folder, name))
                        removed += 1
                removed += len(unfinished)
                folders[:] = sorted(set(folders) - set(unfinished)) if deep else []
        return removed

    @contextlib.contextmanager
    def new_folders(self, uri: str) -> Iterator[None]:
        """At the end of the context, remove folders above ``uri`` that were made in it, if empty.

        What others have written to meanwhile stays.
        """
        missing = [str(folder) for folder in Path(uri).parents if not folder.exists()]
        try:
            yield
        finally:
            for folder in missing:
                with contextlib.suppress(OSError):
                    os.rmdir(folder)

    @contextlib.contextmanager
    def local_file(self, uri: str, scratch: Path) -> Iterator[Path]:
        """Return the file itself; nothing is copied."""
        self.stat(uri)
        yield Path(uri)


@contextlib.contextmanager
def _named_errors(uri: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise NotFoundError(f"{uri}: no such file") from error
    except NotADirectoryError as error:
        # Below a file there is nothing.
        raise NotFoundError(f"{uri}: {error.strerror}") from error
    except OSError as error:
        raise StorageError(f"{uri}: {error.strerror or error}") from error


@contextlib.contextmanager
def _temporary(uri: str, data: bytes | Path) -> Iterator[str]:
    # The name is a uuid, never target + suffix: a target may already use all 255 bytes.
    folder = os.path.dirname(uri)
    make_folders(folder)
    temporary = os.path.join(folder, TEMPORARY_PREFIX + uuid.uuid4().hex)
    try:
        if isinstance(data, Path):
            # The kernel copies, without a detour through this process.
            shutil.copyfile(data, temporary)
        else:
            Path(temporary).write_bytes(data)
        sync_file(temporary)
        yield temporary
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)


def _object_stat(uri: str, status: os.stat_result) -> ObjectStat:
    version = f"{status.st_ino}-{status.st_size}-{status.st_mtime_ns}"
    return ObjectStat(
        uri=uri, num_bytes=status.st_size, version=version, modified_at=status.st_mtime
    )


def _raise_problem(uri: str, reason: str) -> None:
    raise StorageError(f"{uri}: {reason}")


def _folders_above(folder: str) -> frozenset[tuple[int, int]]:
    """Return what identifies the folders that hold ``folder``: a link to one of them is a loop."""
    statuses = [os.stat(above) for above in Path(os.path.realpath(folder)).parents]
    return frozenset((status.st_dev, status.st_ino) for status in statuses)


def _walk(
    folder: str, above: frozenset[tuple[int, int]], report: ProblemHandler
) -> Iterator[ObjectStat]:
    try:
        status = os.stat(folder)
        names = os.listdir(folder)
    except OSError as error:
        report(folder, f"cannot be listed: {error.strerror}")
        return
    identity = (status.st_dev, status.st_ino)
    if identity in above:
        report(folder, "is a symlink loop")
        return
    # Sorted as whole paths: a folder sorts as its name with a slash behind it.
    entries = []
    for name in names:
        path = os.path.join(folder, name)
        entries.append((name + "/" if os.path.isdir(path) else name, path))
    for key, path in sorted(entries):
        if key.endswith("/"):
            yield from _walk(path, above | {identity}, report)
        elif not os.path.basename(path).startswith(TEMPORARY_PREFIX):
            yield from _file(path, report)


def _file(path: str, report: ProblemHandler) -> Iterator[ObjectStat]:
    try:
        status = os.stat(path)
    except OSError as error:
        report(path, f"cannot be read: {error.strerror}")
        return
    if stat_module.S_ISREG(status.st_mode):
        yield _object_stat(path, status)
    else:
        # A FIFO would block whoever opens it; sockets and devices are no videos either.
        report(path, "is not a regular file")
