"""A tar is read as it was written, or refused: no byte of it but the members' content is free."""

from __future__ import annotations

import io
import tracemalloc
from pathlib import Path

import pytest

from transforms.shards.tar_reader import BadTarError, TarReader
from transforms.shards.tar_writer import TarWriter

MEMBERS = {"a.json": b'{"x": 1}', "b.json": b"", "c.json": bytes(range(256)) * 3}


@pytest.fixture
def tar(tmp_path: Path) -> Path:
    """Return a tar with the members above."""
    with TarWriter(tmp_path / "t.tar") as writer:
        for name, data in MEMBERS.items():
            writer.add_bytes(name, data)
    return tmp_path / "t.tar"


def read(data: bytes, names: list[str] | None = None) -> dict[str, bytes]:
    reader = TarReader(io.BytesIO(data), lambda num_bytes: None)
    found = {name: b"".join(reader.member(name)) for name in names or MEMBERS}
    reader.finish()
    return found


def test_what_was_written_is_read(tar: Path) -> None:
    assert read(tar.read_bytes()) == MEMBERS


def test_every_changed_byte_is_found(tar: Path) -> None:
    data = tar.read_bytes()
    for position in range(len(data)):
        changed = bytearray(data)
        changed[position] ^= 1
        try:
            found = read(bytes(changed))
        except BadTarError:
            continue
        # Only content may change unseen here: its hash is for the caller to know.
        different = [name for name in MEMBERS if found[name] != MEMBERS[name]]
        assert len(different) == 1, position


@pytest.mark.parametrize("length", [0, 100, 512, 520, 1024, 3000, 10_239])
def test_a_tar_that_is_cut_off_is_refused(tar: Path, length: int) -> None:
    with pytest.raises(BadTarError, match=f"is cut off at byte {length}"):
        read(tar.read_bytes()[:length])


@pytest.mark.parametrize(
    "names", [["a.json", "b.json"], ["b.json"], ["a.json", "c.json"], [*MEMBERS, "d.json"]]
)
def test_other_members_than_planned_are_refused(tar: Path, names: list[str]) -> None:
    with pytest.raises(BadTarError):
        read(tar.read_bytes(), names)


def test_what_follows_the_end_is_refused(tar: Path) -> None:
    with pytest.raises(BadTarError, match="goes on behind"):
        read(tar.read_bytes() + b"\0")


def test_a_member_larger_than_makes_sense_is_refused_unread(tar: Path) -> None:
    reader = TarReader(tar.open("rb"), lambda num_bytes: None)
    with pytest.raises(BadTarError, match="has 8 bytes, at most 7 make sense"):
        list(reader.member("a.json", max_bytes=7))


def test_memory_does_not_grow_with_the_tar(tmp_path: Path) -> None:
    num_bytes = 64 << 20
    with (tmp_path / "big").open("wb") as big:
        big.truncate(num_bytes)
    with TarWriter(tmp_path / "t.tar") as writer, (tmp_path / "big").open("rb") as big:
        writer.add_file("big.mp4", big, num_bytes)
    seen: list[int] = []
    tracemalloc.start()
    with (tmp_path / "t.tar").open("rb") as file:
        reader = TarReader(file, seen.append)
        assert sum(len(block) for block in reader.member("big.mp4")) == num_bytes
        reader.finish()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 << 20
    assert sum(seen) == (tmp_path / "t.tar").stat().st_size
