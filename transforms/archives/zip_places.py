"""Where the entries of an archive lie in it: each has bytes of its own."""

from __future__ import annotations

import struct
import zipfile
from typing import IO

from transforms.archives.zip_limits import BadArchiveError
from transforms.storage.plain_names import shown

_LOCAL = struct.Struct("<4s22x2H")
"""Header before an entry's bytes: its mark, and the lengths of its name and its extra field."""
_LOCAL_MARK = b"PK\x03\x04"


def check_places(archive: zipfile.ZipFile) -> None:
    """Read the header before each entry; raise when two entries share a byte.

    Also of entries that are not unpacked. What a header adds to its entry's length only the header
    says, not the table of contents.

    Raises:
        BadArchiveError: Entries overlap each other or the table of contents, or one has no header.
    """
    file = archive.fp
    if file is None:
        raise ValueError("the archive is closed")
    infos = sorted(archive.infolist(), key=lambda info: info.header_offset)
    nexts = [*(info.header_offset for info in infos[1:]), archive.start_dir]
    for info, bound in zip(infos, nexts, strict=True):
        end = _end_of_header(file, info) + info.compress_size
        if end > bound:
            raise BadArchiveError(
                f"its entries overlap, or its beginning is missing: {shown(info.filename)!r} ends "
                f"at byte {end}, what follows it begins at {bound}"
            )


def _end_of_header(file: IO[bytes], info: zipfile.ZipInfo) -> int:
    header = b""
    if info.header_offset >= 0:
        file.seek(info.header_offset)
        header = file.read(_LOCAL.size)
    if len(header) < _LOCAL.size or not header.startswith(_LOCAL_MARK):
        raise BadArchiveError(f"entry {shown(info.filename)!r} is damaged (it has no header)")
    _, name_bytes, extra_bytes = _LOCAL.unpack(header)
    return int(info.header_offset + _LOCAL.size + name_bytes + extra_bytes)
