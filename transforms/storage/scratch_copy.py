"""Local copies of objects: what the local side refuses is no fault of the object."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from transforms.errors import CurateError


class ScratchError(CurateError):
    """The local folder for copies is full or cannot be written to.

    No StorageError: steps that note a StorageError as the failure of one video let this one pass,
    and the run ends instead of failing every video that is left.
    """


class ScratchCopy:
    """A file that is written from its beginning; the folder is made if it is missing.

    Args:
        path: The file; what is there is replaced.
        uri: What it becomes a copy of, for errors.

    Raises:
        ScratchError: By every method, for all that the local side refuses.
    """

    def __init__(self, path: Path, *, uri: str) -> None:
        self._path = path
        self._uri = uri
        with self._told():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("wb")

    def write(self, data: bytes) -> None:
        """Append."""
        with self._told():
            self._file.write(data)

    def __enter__(self) -> ScratchCopy:
        return self

    def __exit__(self, *_: object) -> None:
        with self._told():
            self._file.close()

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ScratchError(
                f"scratch folder {self._path.parent}: {error.strerror or error}, so {self._uri} "
                "cannot be copied there; make room there, or name another folder with "
                "--scratch_path"
            ) from error


def remove_copy(path: Path) -> None:
    """Remove the file; nothing happens if it, or its folder, was never made."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        path.unlink()
