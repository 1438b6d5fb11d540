"""Archives from outside: what they hold is unpacked exactly, or they are refused as a whole."""

from __future__ import annotations

import hashlib
import io
import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from transforms.archives.unpack import unpack
from transforms.archives.zip_limits import BadArchiveError, ZipLimits

SMALL = ZipLimits(
    num_entries=20,
    directory_bytes=4096,
    entry_bytes=3 << 20,
    total_bytes=4 << 20,
    ratio=100,
    harmless_bytes=1 << 20,
)


def zipped(files: dict[str, bytes], *, method: int = zipfile.ZIP_STORED) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return content.getvalue()


def entry(name: str, data: bytes = b"x", **attributes: int) -> bytes:
    """Return an archive of one entry with attributes that ``zipfile`` writes as they are."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        info = zipfile.ZipInfo(name)
        for attribute, value in attributes.items():
            setattr(info, attribute, value)
        archive.writestr(info, data)
    return content.getvalue()


def patched(data: bytes, old: bytes, new: bytes) -> bytes:
    assert len(old) == len(new)
    assert old in data
    return data.replace(old, new)


def unpacked(
    data: bytes, tmp_path: Path, limits: ZipLimits | None = None
) -> dict[str, bytes] | str:
    """Return what came out, or why nothing did; nothing may appear beside the folder."""
    work = tmp_path / hashlib.sha256(data).hexdigest()[:16]
    work.mkdir()
    (work / "a.zip").write_bytes(data)
    folder = work / "inside"
    try:
        number = unpack(work / "a.zip", folder, limits=limits)
    except BadArchiveError as error:
        found = str(error)
    else:
        paths = [path for path in folder.rglob("*") if not path.is_dir()]
        assert number == len(paths)
        assert all(stat.S_ISREG(path.lstat().st_mode) for path in paths)
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
    finally:
        beside = {path.name for path in [*tmp_path.iterdir(), *work.iterdir()]}
        assert beside <= {"a.zip", "inside"} | {path.name for path in tmp_path.glob("?" * 16)}
    return found


FILES = {"b/c d.mp4": b"1" * 3000, "ü.mp4": b"2", "b/empty.mp4": b""}


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_files_come_out_as_they_went_in(method: int, tmp_path: Path) -> None:
    assert unpacked(zipped(FILES, method=method), tmp_path) == FILES


def test_one_folder_at_the_top_is_unwrapped_once(tmp_path: Path) -> None:
    within = {f"top/videos/{name}": data for name, data in FILES.items()}
    notes = {"__MACOSX/top/videos/._x": b"n", "top/__MACOSX/y": b"n", "top/": b""}
    assert unpacked(zipped({**within, **notes}), tmp_path) == {
        f"videos/{name}": data for name, data in FILES.items()
    }


def test_a_file_beside_the_folder_keeps_it(tmp_path: Path) -> None:
    files = {"top/a.mp4": b"1", "b.mp4": b"2"}
    assert unpacked(zipped(files), tmp_path) == files


def test_a_single_file_keeps_its_name(tmp_path: Path) -> None:
    assert unpacked(zipped({"a.mp4": b"1"}), tmp_path) == {"a.mp4": b"1"}


def test_an_archive_of_the_64_bit_kind(tmp_path: Path) -> None:
    content = io.BytesIO()
    with (
        zipfile.ZipFile(content, "w") as archive,
        archive.open(zipfile.ZipInfo("a.mp4"), "w", force_zip64=True) as file,
    ):
        file.write(b"12")
    assert unpacked(content.getvalue(), tmp_path) == {"a.mp4": b"12"}


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("/etc/x", "absolute path"),
        ("C:/x", "absolute path"),
        ("../x", r"leads out"),
        ("a/../../x", r"leads out"),
        ("a/..", r"leads out"),
        ("a//x", "empty or a dot part"),
        ("./x", "empty or a dot part"),
        ("..\\x", "backslash"),
        ("a\nb", "control characters"),
        ("a\x1b[31m", "control characters"),
        ("ü" * 128, "more than 255 bytes"),
        ("/".join(["abcdefghij"] * 200), "more than 2048 bytes"),
    ],
)
def test_names_that_lead_out_are_refused(name: str, why: str, tmp_path: Path) -> None:
    found = unpacked(zipped({"good.mp4": b"1", name: b"2"}), tmp_path)
    assert isinstance(found, str)
    assert why in found
    assert found.isprintable()


def test_links_devices_passwords_and_odd_methods_are_refused(tmp_path: Path) -> None:
    link = entry("a", b"/etc/passwd", external_attr=(stat.S_IFLNK | 0o777) << 16, create_system=3)
    assert "is a link" in str(unpacked(link, tmp_path))
    pipe = entry("a", external_attr=(stat.S_IFIFO | 0o600) << 16, create_system=3)
    assert "is a link or a device" in str(unpacked(pipe, tmp_path))
    packed = zipped({"a": b"x" * 9}, method=zipfile.ZIP_BZIP2)
    assert "packed by method 12" in str(unpacked(packed, tmp_path))
    plain = zipped({"a": b"x"})
    # The flags follow the version needed, in the local header and in the table of contents.
    secret = plain.replace(b"PK\x03\x04\x14\x00\x00\x00", b"PK\x03\x04\x14\x00\x01\x00")
    secret = secret.replace(
        b"PK\x01\x02\x14\x03\x14\x00\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01\x00"
    )
    assert secret != plain
    assert "is encrypted" in str(unpacked(secret, tmp_path))


def test_two_entries_cannot_be_one_file(tmp_path: Path) -> None:
    twice = zipped({"a/b": b"1", "a/c": b"2"}).replace(b"a/c", b"a/b")
    assert "'a/b' twice" in str(unpacked(twice, tmp_path))
    both = zipped({"a": b"1", "a/b": b"2"})
    assert "'a' as a file and as a folder" in str(unpacked(both, tmp_path))


def deflated(*sizes: int) -> bytes:
    return zipped(
        {f"{number}.mp4": bytes(size) for number, size in enumerate(sizes)},
        method=zipfile.ZIP_DEFLATED,
    )


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: zipped({f"{number}": b"" for number in range(21)}), "holds 21 entries"),
        (lambda: zipped({f"{number:0200}": b"" for number in range(20)}), "table of contents of"),
        (lambda: zipped({"a": bytes((3 << 20) + 1)}), "entry 'a' has 3145729 bytes"),
        (lambda: zipped({"a": bytes(3 << 20), "b": bytes(2 << 20)}), "unpacks to 5242880 bytes"),
        (lambda: deflated(2 << 20), "more than 100 times its packed size"),
        (lambda: deflated(*[1 << 19] * 8), "more than 100 times its size"),
    ],
)
def test_bombs_are_refused(make: Callable[[], bytes], why: str, tmp_path: Path) -> None:
    data = make()
    found = unpacked(data, tmp_path, SMALL)
    assert why in str(found)
    assert not list(tmp_path.rglob("inside"))


def test_what_stays_within_the_limits_is_unpacked(tmp_path: Path) -> None:
    files = {f"{number}": b"" for number in range(20)}
    assert unpacked(zipped(files), tmp_path, SMALL) == files
    assert unpacked(deflated(1 << 20), tmp_path, SMALL) == {"0.mp4": bytes(1 << 20)}


def test_entries_that_share_their_bytes_are_refused(tmp_path: Path) -> None:
    # Both names point to the first local header: the way of the bombs that are flat.
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("a", bytes(4000))
        archive.writestr("b", b"")
        archive.infolist()[1].header_offset = 0
        archive.infolist()[1].file_size = archive.infolist()[1].compress_size = 4000
        archive.infolist()[1].CRC = archive.infolist()[0].CRC
    assert "entries overlap" in str(unpacked(content.getvalue(), tmp_path))


def shared(*, padding: int, at: int = 0) -> bytes:
    """Return an archive whose second name points to byte ``at``, of the first entry's."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("a", bytes(4000))
        archive.writestr("b", b"")
        # Of no name in the table of contents: only room.
        archive.writestr("padding", bytes(padding))
        first, second, _ = archive.infolist()
        second.header_offset = at
        second.file_size = second.compress_size = 4000
        second.CRC = first.CRC
        del archive.filelist[2]
    return content.getvalue()


@pytest.mark.parametrize("at", [0, 100])
def test_entries_that_share_their_bytes_are_refused_however_much_else_there_is(
    at: int, tmp_path: Path
) -> None:
    found = str(unpacked(shared(padding=9000, at=at), tmp_path))
    assert "entries overlap" in found or "it has no header" in found
    assert not list(tmp_path.rglob("inside"))


def test_an_entry_that_only_its_header_makes_longer_may_not_reach_the_next(tmp_path: Path) -> None:
    plain = zipped({"a": bytes(100), "b": bytes(100)})
    # The length of the extra field, which the table of contents need not repeat.
    longer = plain[:28] + struct.pack("<H", 60) + plain[30:]
    assert "'a' ends at byte 191, what follows it begins at 131" in str(unpacked(longer, tmp_path))
    assert unpacked(plain, tmp_path) == {"a": bytes(100), "b": bytes(100)}


def test_an_entry_may_not_reach_into_the_table_of_contents(tmp_path: Path) -> None:
    data = zipped({"a": bytes(100)})
    longer = data[:28] + struct.pack("<H", 1) + data[30:]
    assert "'a' ends at byte 132, what follows it begins at 131" in str(unpacked(longer, tmp_path))


def test_what_lies_before_between_and_behind_entries_does_no_harm(tmp_path: Path) -> None:
    content = io.BytesIO(b"#!/bin/sh\n" * 9)
    content.seek(0, io.SEEK_END)
    with zipfile.ZipFile(content, "a") as archive:
        for name in ("a.mp4", "gap", "b.mp4"):
            archive.writestr(zipfile.ZipInfo(name), name.encode() * 30)
        del archive.filelist[1]
        archive.comment = b"c" * 99
    found = unpacked(content.getvalue(), tmp_path)
    assert found == {name: name.encode() * 30 for name in ("a.mp4", "b.mp4")}


def test_a_size_that_is_a_lie_is_found_out(tmp_path: Path) -> None:
    data = bytearray(zipped({"a": b"12345678"}))
    at = data.index(b"PK\x01\x02")
    # Of the uncompressed size in the table of contents.
    struct.pack_into("<L", data, at + 24, 4)
    found = str(unpacked(bytes(data), tmp_path))
    assert "is damaged" in found or "another size" in found


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "is no zip archive"),
        (b"<html>" * 100, "is no zip archive"),
        (zipped(FILES)[:-30], "is no zip archive, or its end is missing"),
        (zipped(FILES)[:100], "is no zip archive, or its end is missing"),
        (zipped(FILES)[500:], "its beginning is missing"),
        (zipped({}), "holds no files"),
        (zipped({"a/": b"", "__MACOSX/b": b"1"}), "holds no files"),
        (patched(zipped({"a": b"12345678"}), b"12345678", b"12345679"), "'a' is damaged"),
    ],
)
def test_damaged_archives_are_refused(data: bytes, why: str, tmp_path: Path) -> None:
    assert why in str(unpacked(data, tmp_path))


def test_no_flipped_byte_is_unpacked_without_a_word(tmp_path: Path) -> None:
    files = {"a.mp4": b"0123456789" * 10, "b.mp4": b"abc" * 10}
    data = zipped(files)
    outcomes = set()
    for at in range(len(data)):
        broken = data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]
        found = unpacked(broken, tmp_path)
        outcomes.add(type(found))
        if not isinstance(found, str):
            # Names and dates are not covered by a checksum; contents are.
            assert sorted(found.values()) == sorted(files.values()), at
    assert outcomes == {str, dict}
