"""What an archive from outside may hold; told from its directory, before anything is unpacked."""

from __future__ import annotations

import stat
import struct
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from transforms.storage.interface import StorageError
from transforms.storage.plain_names import shown

_LEFT_OUT = "__MACOSX"
"""Folder of what macOS notes about the files beside it (contract §6.6)."""
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
"""The others unpack a block at a time, however large a hostile one is."""
_ENCRYPTED = 0x1 | 0x40
_NAME_BYTES, _PATH_BYTES = 255, 2048
_END = struct.Struct("<4s4H2LH")
_LOCATOR = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LONGEST_COMMENT = 65535
_MODULUS = 1 << 16
"""Without the 64-bit extension, the number of entries is counted so."""


@dataclass(frozen=True)
class ZipLimits:
    """Bounds of an archive; what exceeds one is refused as a whole."""

    num_entries: int = 200_000
    directory_bytes: int = 64 << 20
    """Of its table of contents, which is read into memory."""
    entry_bytes: int = 1 << 40
    """Of one file, unpacked."""
    total_bytes: int = 4 << 40
    """Of all files, unpacked."""
    ratio: int = 100
    """Unpacked bytes per packed byte, of each file and of all together; videos have about 1."""
    harmless_bytes: int = 64 << 20
    """Up to here the ratio does not matter: a long text may be packed well."""


class BadArchiveError(StorageError):
    """An archive cannot or must not be unpacked."""


@dataclass(frozen=True)
class Entry:
    """One file to unpack."""

    info: zipfile.ZipInfo
    path: str
    """Below the folder it is unpacked into: checked, with slashes."""


def chosen_entries(archive: zipfile.ZipFile, num_bytes: int, limits: ZipLimits) -> list[Entry]:
    """Return the files to unpack; a single folder at the top, and ``__MACOSX``, are left out.

    Args:
        archive: The opened archive.
        num_bytes: Its size.
        limits: Its bounds.

    Raises:
        BadArchiveError: Something in it must not or cannot be unpacked.
    """
    infos = archive.infolist()
    if len(infos) > limits.num_entries:
        raise BadArchiveError(f"holds {len(infos)} entries, at most {limits.num_entries} are taken")
    wanted = [info for info in infos if _LEFT_OUT not in info.filename.split("/")]
    for info in wanted:
        _check_entry(info, limits)
    files = [info for info in wanted if not info.is_dir()]
    _check_totals(files, num_bytes, limits)
    if not files:
        raise BadArchiveError("holds no files")
    return _unwrapped([Entry(info, info.filename) for info in files])


def _check_entry(info: zipfile.ZipInfo, limits: ZipLimits) -> None:
    name = shown(info.filename)
    if problem := _name_problem(info.filename):
        raise BadArchiveError(f"entry {name!r} {problem}")
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise BadArchiveError(f"entry {name!r} is a link or a device, not a file")
    if info.flag_bits & _ENCRYPTED:
        raise BadArchiveError(f"entry {name!r} is encrypted; pack without a password")
    if info.compress_type not in _METHODS:
        raise BadArchiveError(
            f"entry {name!r} is packed by method {info.compress_type}; use stored or deflate"
        )
    if info.file_size > limits.entry_bytes:
        raise BadArchiveError(
            f"entry {name!r} has {info.file_size} bytes, at most {limits.entry_bytes} are taken"
        )
    if _is_bomb(info.file_size, info.compress_size, limits):
        raise BadArchiveError(
            f"entry {name!r} unpacks to {info.file_size} bytes, more than {limits.ratio} times its "
            "packed size: no video does"
        )


def _check_totals(files: Sequence[zipfile.ZipInfo], num_bytes: int, limits: ZipLimits) -> None:
    total = sum(info.file_size for info in files)
    if total > limits.total_bytes:
        raise BadArchiveError(f"unpacks to {total} bytes, at most {limits.total_bytes} are taken")
    if sum(info.compress_size for info in files) > num_bytes:
        raise BadArchiveError(
            "its entries overlap, or its beginning is missing: together they are larger than it"
        )
    if _is_bomb(total, num_bytes, limits):
        raise BadArchiveError(f"unpacks to {total} bytes, more than {limits.ratio} times its size")
    paths = [info.filename for info in files]
    if len(set(paths)) != len(paths):
        twice = next(path for path in paths if paths.count(path) > 1)
        raise BadArchiveError(f"holds {shown(twice)!r} twice")
    folders = {folder for path in paths for folder in _folders(path)}
    if both := folders.intersection(paths):
        raise BadArchiveError(f"holds {shown(min(both))!r} as a file and as a folder")


def _is_bomb(unpacked: int, packed: int, limits: ZipLimits) -> bool:
    return unpacked > limits.harmless_bytes and unpacked > limits.ratio * packed


def _name_problem(name: str) -> str | None:
    parts = name.removesuffix("/").split("/")
    longest = max(len(part.encode()) for part in parts)
    problems = {
        "has an absolute path": name.startswith("/") or parts[0].endswith(":"),
        "has a backslash in its name": "\\" in name,
        "leads out of the archive (..)": ".." in parts,
        "has an empty or a dot part in its path": "" in parts or "." in parts,
        "has control characters in its name": not name.isprintable(),
        f"has a name of more than {_NAME_BYTES} bytes": longest > _NAME_BYTES,
        f"has a path of more than {_PATH_BYTES} bytes": len(name.encode()) > _PATH_BYTES,
    }
    return next((problem for problem, is_so in problems.items() if is_so), None)


def _folders(path: str) -> Iterable[str]:
    parts = path.split("/")
    return ("/".join(parts[:depth]) for depth in range(1, len(parts)))


def _unwrapped(entries: list[Entry]) -> list[Entry]:
    """Return the entries without the one folder that holds them all, if there is one."""
    tops = {entry.path.partition("/")[0] for entry in entries}
    if len(tops) > 1 or any("/" not in entry.path for entry in entries):
        return entries
    return [Entry(entry.info, entry.path.partition("/")[2]) for entry in entries]


def check_directory(path: Path, limits: ZipLimits) -> int:
    """Return the number of entries that the archive states, modulo 65,536.

    That number is no bound: its table of contents may hold more. So its size is bounded, because
    the table is read into memory.

    Raises:
        BadArchiveError: The table of contents is too large, or not there.
    """
    num_bytes = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, num_bytes - _LONGEST_COMMENT - _END.size - _LOCATOR.size - _END64.size))
        tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < _END.size:
        raise BadArchiveError("is no zip archive, or its end is missing")
    num_entries, directory_bytes = _END.unpack_from(tail, at)[4:6]
    at64 = tail.rfind(b"PK\x06\x06", 0, at)
    if 0 <= at64 <= at - _END64.size and (num_entries == 0xFFFF or directory_bytes == 0xFFFFFFFF):
        num_entries, directory_bytes = _END64.unpack_from(tail, at64)[7:9]
    if directory_bytes > limits.directory_bytes:
        raise BadArchiveError(
            f"has a table of contents of {directory_bytes} bytes, at most "
            f"{limits.directory_bytes} are taken"
        )
    return int(num_entries) % _MODULUS


def check_count(archive: zipfile.ZipFile, stated: int) -> None:
    """Raise BadArchiveError when another number of entries was found than the archive states."""
    found = len(archive.infolist())
    if found % _MODULUS != stated:
        raise BadArchiveError(
            f"is damaged: {found} entries were found, its end states {stated} (modulo {_MODULUS})"
        )
