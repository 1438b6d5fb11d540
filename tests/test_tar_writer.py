"""Tars: the same bytes as GNU tar writes, from files and from anything readable."""

from __future__ import annotations

import io
import subprocess
import tarfile

import pytest

from transforms.shards.tar_writer import TarWriter
from transforms.storage.interface import StorageError

MEMBERS = {
    "a.json": b"{}",
    "b.mp4": bytes(range(256)) * 2,  # one block exactly
    "c.mp4": b"x" * 3_000_001,  # more than one copy buffer, no full block
    "d.mp4": b"",
}


@pytest.fixture
def members(tmp_path):
    folder = tmp_path / "members"
    folder.mkdir()
    for name, data in MEMBERS.items():
        (folder / name).write_bytes(data)
    return folder


def write(target, members, *, as_file=True):
    with TarWriter(target) as tar:
        for name, data in MEMBERS.items():
            with (members / name).open("rb") if as_file else io.BytesIO(data) as source:
                tar.add_file(name, source, len(data))
    return target.read_bytes()


def test_the_bytes_are_those_of_gnu_tar(tmp_path, members):
    options = [
        "--format=ustar",
        "--numeric-owner",
        "--owner=0",
        "--group=0",
        "--mode=0644",
        "--mtime=@0",
    ]
    names = list(MEMBERS)
    expected = subprocess.run(
        ["tar", *options, "-c", "-f", "-", *names], cwd=members, capture_output=True, check=True
    ).stdout
    assert write(tmp_path / "ours.tar", members) == expected


def test_a_source_that_is_no_real_file_gives_the_same_bytes(tmp_path, members):
    from_files = write(tmp_path / "files.tar", members)
    assert write(tmp_path / "memory.tar", members, as_file=False) == from_files


def test_small_members_are_read_back(tmp_path):
    target = tmp_path / "a.tar"
    with TarWriter(target) as tar:
        tar.add_bytes("k.json", b"[1]")
        tar.add_bytes("l.json", b"")
    with tarfile.open(target) as archive:
        found = {one.name: archive.extractfile(one).read() for one in archive}
        one = archive.getmember("k.json")
    assert found == {"k.json": b"[1]", "l.json": b""}
    assert (one.mtime, one.uid, one.gid, one.mode, one.uname) == (0, 0, 0, 0o644, "")


@pytest.mark.parametrize(("claimed", "got"), [(11, "got 10"), (9, "got more")])
@pytest.mark.parametrize("kind", ["file", "memory"])
def test_a_source_of_another_size_is_an_error_and_leaves_no_archive(tmp_path, kind, claimed, got):
    path = tmp_path / "source"
    path.write_bytes(b"0123456789")
    target = tmp_path / "a.tar"
    source = path.open("rb") if kind == "file" else io.BytesIO(path.read_bytes())
    with source, pytest.raises(StorageError, match=got), TarWriter(target) as tar:
        tar.add_file("a.mp4", source, claimed)
    assert not target.exists()


@pytest.mark.parametrize(("name", "size"), [("n" * 101, 1), ("a.mp4", 8 << 30)])
def test_what_the_format_cannot_hold_is_an_error(tmp_path, name, size):
    target = tmp_path / "a.tar"
    with pytest.raises(StorageError, match="at most"), TarWriter(target) as tar:
        tar.add_file(name, io.BytesIO(b""), size)
    assert not target.exists()
