"""Packing an output tree into one archive: the same tree gives the same bytes.

Files are stored as they are: clips do not get smaller, and packing would depend on zlib's version.
"""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from transforms.layout import WORK
from transforms.storage.interface import StorageError
from transforms.storage.open_storage import storage_for
from transforms.storage.uris import relative

_EARLIEST = (1980, 1, 1, 0, 0, 0)
"""The time of every entry: zip knows none before."""
_MODE = 0o100644 << 16
_UNIX = 3
_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True)
class Tree:
    """A folder to pack."""

    root: str
    """Local path or URI."""
    prefix: str = ""
    """Before each path in the archive; empty, or ends with a slash."""


def pack(trees: Sequence[Tree], path: Path) -> int:
    """Pack folders into a new archive; return the number of files.

    Notes of work (``.work`` at the top of a tree) are left out. Archives above 4 GiB, or with more
    than 65,535 files, are zip64.

    Raises:
        StorageError: A file cannot be read, or the archive cannot be written.
    """
    files = sorted(entry for tree in trees for entry in _files(tree))
    try:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
            for name, uri, num_bytes in files:
                _add(archive, name, uri, num_bytes)
    except StorageError:
        raise
    except OSError as error:
        raise StorageError(
            f"{path}: the archive of the output cannot be written: {error.strerror}; name a larger "
            "folder with --scratch_path"
        ) from error
    return len(files)


def _files(tree: Tree) -> Iterator[tuple[str, str, int]]:
    for stat in storage_for(tree.root).list(tree.root):
        path = relative(stat.uri, tree.root)
        if path.partition("/")[0] != WORK:
            yield tree.prefix + path, stat.uri, stat.num_bytes


def _add(archive: zipfile.ZipFile, name: str, uri: str, num_bytes: int) -> None:
    info = zipfile.ZipInfo(name, _EARLIEST)
    info.create_system = _UNIX
    info.external_attr = _MODE
    info.file_size = num_bytes
    with storage_for(uri).open_seekable(uri) as source, archive.open(info, "w") as target:
        shutil.copyfileobj(source, target, _BLOCK_BYTES)
