"""The one interface over local folders and object stores."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from transforms.errors import CurateError


class StorageError(CurateError):
    """A storage operation failed; the message names the object and the reason."""


class NotFoundError(StorageError):
    """There is no object at that URI."""


class StoreAwayError(CurateError):
    """A store cannot be reached, or refuses everything: nothing is known about any object.

    No StorageError: steps that note a StorageError as the failure of one video let this one pass,
    and the run ends instead of failing every video that is left.
    """


class TooLargeError(StorageError):
    """An object has more bytes than its reader takes."""

    def __init__(self, uri: str, *, most: int, num_bytes: int) -> None:
        super().__init__(f"{uri}: needed at most {most} bytes, got {num_bytes}")
        self.num_bytes = num_bytes


@dataclass(frozen=True, slots=True)
class ObjectStat:
    """One stored object."""

    uri: str
    num_bytes: int
    version: str
    """Changes whenever the content may have changed; only for comparison."""
    modified_at: float
    """When it was written, by the store's own clock, in seconds; only for differences."""


ProblemHandler = Callable[[str, str], None]
"""Called with (uri, reason) for what a listing cannot enter: a loop, a pipe, ..."""


class Storage(Protocol):
    """Objects appear whole or not at all; a key ``d`` never stands beside a key ``d/x``."""

    def read(self, uri: str, *, most: int | None = None) -> bytes:
        """Return the whole object, in one request.

        Raises:
            NotFoundError: There is none.
            TooLargeError: It has more than ``most`` bytes, and was not read.
            StorageError: It cannot be read.
        """
        ...

    def read_range(self, uri: str, start: int, length: int) -> bytes:
        """Return bytes ``[start, start + length)``, fewer only at the object's end."""
        ...

    def open_seekable(self, uri: str) -> BinaryIO:
        """Return a readable, seekable binary file over the object."""
        ...

    def stat(self, uri: str) -> ObjectStat:
        """Return size and version. Raises NotFoundError."""
        ...

    def exists(self, uri: str) -> bool:
        """Return whether there is an object at ``uri``."""
        ...

    def write(self, uri: str, data: bytes | Path) -> None:
        """Store ``data`` (or the content of a local file), replacing what is there."""
        ...

    def staging(self, root: str, scratch: Path) -> Path:
        """Return the local folder in which to build files that are published below ``root``."""
        ...

    def publish(self, uri: str, path: Path) -> None:
        """Store the local file as ``write`` does, and use it up: no copy where none is needed."""
        ...

    def create_if_absent(self, uri: str, data: bytes | Path) -> bool:
        """Store ``data`` unless an object is there; return whether it was stored."""
        ...

    def replace_if(self, uri: str, data: bytes, version: str) -> bool:
        """Replace the object if it still has ``version``; return whether it was replaced."""
        ...

    def list(self, uri: str, on_problem: ProblemHandler | None = None) -> Iterator[ObjectStat]:
        """Yield every object below the folder ``uri``, sorted by path; nothing if it is missing."""
        ...

    def delete(self, uri: str) -> None:
        """Remove the object; nothing happens if there is none."""
        ...

    def delete_if(self, uri: str, version: str) -> bool:
        """Remove the object if it still has ``version``; return whether it had, as far as known.

        Sent again after a failure, it never meets what another writer has put there since.
        """
        ...

    def delete_many(self, uris: Iterable[str]) -> None:
        """Remove many objects, in as few requests as the store allows.

        Of those in one request (up to a thousand) any may go first, also when only some can be
        removed; where an order matters, each group that is first has a call of its own.
        """
        ...

    def clock(self, uri: str) -> float:
        """Return the time by the clock that ``modified_at`` of ``uri`` is told by, in seconds.

        Nothing is left behind.
        """
        ...

    def sweep(self, uri: str, *, deep: bool = True) -> int:
        """Remove what killed writers left below the folder ``uri``; return how many there were."""
        ...

    def new_folders(self, uri: str) -> AbstractContextManager[None]:
        """Return a context at whose end the folders made for ``uri`` go again if they are empty."""
        ...

    def local_file(self, uri: str, scratch: Path) -> AbstractContextManager[Path]:
        """Return a context with a local path to read: the file itself, or a copy in scratch.

        Raises:
            StorageError: The object cannot be read.
            ScratchError: The copy cannot be written.
        """
        ...
