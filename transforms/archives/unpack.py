"""Unpacking an archive from outside into a folder of one's own."""

from __future__ import annotations

import shutil
import zipfile
import zlib
from pathlib import Path

from transforms.archives.zip_limits import (
    BadArchiveError,
    Entry,
    ZipLimits,
    check_count,
    check_directory,
    chosen_entries,
)
from transforms.archives.zip_places import check_places
from transforms.storage.plain_names import shown

_BLOCK_BYTES = 1 << 20


def unpack(path: Path, folder: Path, *, limits: ZipLimits | None = None) -> int:
    """Unpack an archive into a new folder; return the number of files.

    All entries are checked before the first is written: names, kinds, sizes, overlaps. Each must
    have the size and the CRC that the archive states.

    Args:
        path: The archive.
        folder: Is made; must not exist.
        limits: Bounds; None: the usual ones.

    Raises:
        BadArchiveError: It cannot or must not be unpacked; the message begins with the reason.
    """
    bounds = limits or ZipLimits()
    stated = check_directory(path, bounds)
    try:
        with zipfile.ZipFile(path) as archive:
            check_count(archive, stated)
            entries = chosen_entries(archive, path.stat().st_size, bounds)
            check_places(archive)
            _check_room(entries, folder)
            folder.mkdir(mode=0o700)
            for entry in entries:
                _write(archive, entry, folder)
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise BadArchiveError(f"is no whole zip archive ({shown(str(error))})") from error
    return len(entries)


def _check_room(entries: list[Entry], folder: Path) -> None:
    total = sum(entry.info.file_size for entry in entries)
    free = shutil.disk_usage(folder.parent).free
    if total > free:
        raise BadArchiveError(
            f"unpacks to {total} bytes, {folder.parent} has room for {free}; name a larger folder "
            "with --scratch_path"
        )


def _write(archive: zipfile.ZipFile, entry: Entry, folder: Path) -> None:
    target = folder / entry.path
    name = shown(entry.path)
    left = entry.info.file_size
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with archive.open(entry.info) as packed, target.open("xb") as file:
            # At the end of an entry its CRC is compared.
            while block := packed.read(min(_BLOCK_BYTES, left + 1)):
                left -= len(block)
                if left < 0:
                    break
                file.write(block)
    except (zlib.error, EOFError, zipfile.BadZipFile) as error:
        raise BadArchiveError(f"entry {name!r} is damaged ({shown(str(error))})") from error
    except OSError as error:
        raise BadArchiveError(f"cannot be unpacked to {target}: {error.strerror}") from error
    if left:
        raise BadArchiveError(f"entry {name!r} has another size than the archive states")
