"""What every storage promises, of each one here: a local folder, S3 and GCS with real servers."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from store_servers import OWNER, profiles_file

from transforms.storage.interface import NotFoundError, Storage, StorageError
from transforms.storage.open_storage import storage_for

KEYS = ("a-c", "a.b", "a/x", "b/.hidden", "e/two  blanks\n", "e/é ü+%20&=#?.mp4", "z" * 200)
"""Sorted as whole paths."""


@dataclass(frozen=True)
class Place:
    """An empty folder in one kind of storage."""

    uri: str
    storage: Storage
    is_store: bool

    def at(self, name: str) -> str:
        return f"{self.uri}/{name}"


@pytest.fixture(
    params=[
        "local",
        pytest.param("s3", marks=pytest.mark.store),
        pytest.param("gs", marks=pytest.mark.store),
    ]
)
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Return a new place of each kind."""
    if request.param == "local":
        return Place(str(tmp_path / "place"), storage_for(str(tmp_path)), is_store=False)
    server = request.getfixturevalue("s3_server" if request.param == "s3" else "gcs_server")
    if request.param == "s3":
        file = profiles_file(tmp_path / "profiles", {"default": (OWNER, server.address)})
        monkeypatch.setenv("COSMOS_S3_PROFILE_PATH", str(file))
    else:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
    uri = f"{request.param}://{server.new_bucket()}/some folder"
    return Place(uri, storage_for(uri), is_store=True)


def _together(number: int, call: Callable[[int], object]) -> list[object]:
    results: list[object] = []
    threads = [threading.Thread(target=lambda i=i: results.append(call(i))) for i in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == number
    return results


def test_what_is_written_is_read(place: Place) -> None:
    uri, storage = place.at("a/b c.bin"), place.storage
    storage.write(uri, b"0123456789")
    assert storage.read(uri) == b"0123456789"
    assert storage.stat(uri).num_bytes == 10
    assert abs(storage.stat(uri).modified_at - time.time()) < 60
    assert storage.exists(uri)
    assert not storage.exists(place.at("a")), "a folder is no object"
    storage.write(uri, b"other")
    assert storage.read(uri) == b"other"


def test_only_the_version_that_is_meant_is_removed(place: Place) -> None:
    uri, storage = place.at("a"), place.storage
    storage.write(uri, b"first")
    version = storage.stat(uri).version
    storage.write(uri, b"second")
    assert not storage.delete_if(uri, version)
    assert storage.read(uri) == b"second"
    assert storage.delete_if(uri, storage.stat(uri).version)
    assert not storage.exists(uri)
    assert not storage.delete_if(uri, version)


@pytest.mark.parametrize(
    ("start", "length", "expected"),
    [(0, 4, b"0123"), (8, 5, b"89"), (10, 3, b""), (99, 3, b""), (3, 0, b"")],
)
def test_ranges_end_at_the_object_s_end(
    place: Place, start: int, length: int, expected: bytes
) -> None:
    uri = place.at("a")
    place.storage.write(uri, b"0123456789")
    assert place.storage.read_range(uri, start, length) == expected


def test_an_empty_object_is_one(place: Place) -> None:
    uri = place.at("empty")
    place.storage.write(uri, b"")
    assert place.storage.read(uri) == b""
    assert place.storage.read_range(uri, 0, 5) == b""
    with place.storage.open_seekable(uri) as file:
        assert file.read() == b""
    assert [found.num_bytes for found in place.storage.list(place.uri)] == [0]


def test_what_is_missing_is_named(place: Place, tmp_path: Path) -> None:
    uri, storage = place.at("none"), place.storage
    assert not storage.exists(uri)
    for read in (
        storage.read,
        storage.stat,
        storage.open_seekable,
        lambda uri: storage.read_range(uri, 0, 1),
        lambda uri: storage.local_file(uri, tmp_path).__enter__(),
    ):
        with pytest.raises(NotFoundError, match="none"):
            read(uri)
    storage.delete(uri)
    assert list(storage.list(place.at("no folder"))) == []


def test_a_file_is_read_at_any_place(place: Place) -> None:
    uri, content = place.at("big"), os.urandom(700_001)
    place.storage.write(uri, content)
    with place.storage.open_seekable(uri) as file:
        assert file.seek(-7, os.SEEK_END) == len(content) - 7
        assert file.read(100) == content[-7:]
        assert file.read(1) == b""
        file.seek(262_140)
        assert file.read(10) == content[262_140:262_150], "over the border of two blocks"
        file.seek(0)
        assert file.read() == content


def test_a_file_stands_in_for_bytes(place: Place, tmp_path: Path) -> None:
    path, uri = tmp_path / "source", place.at("copy")
    path.write_bytes(b"content")
    place.storage.write(uri, path)
    assert path.read_bytes() == b"content"
    assert not place.storage.create_if_absent(uri, path)
    assert place.storage.create_if_absent(place.at("second"), path)
    staged = place.storage.staging(place.uri, tmp_path / "scratch") / "tar"
    staged.parent.mkdir(parents=True)
    staged.write_bytes(b"published")
    place.storage.publish(uri, staged)
    assert not staged.exists()
    assert place.storage.read(uri) == b"published"
    with pytest.raises((StorageError, OSError)):
        place.storage.write(place.at("third"), tmp_path / "missing")
    assert not place.storage.exists(place.at("third"))


def test_listings_are_sorted_by_whole_path(place: Place) -> None:
    for key in reversed(KEYS):
        place.storage.write(place.at(key), key.encode())
    place.storage.write(place.uri + " beside", b"")
    found = list(place.storage.list(place.uri))
    assert [stat.uri for stat in found] == [place.at(key) for key in KEYS]
    assert [stat.num_bytes for stat in found] == [len(key.encode()) for key in KEYS]
    for stat in found:
        assert stat.version == place.storage.stat(stat.uri).version
        assert place.storage.read(stat.uri) == stat.uri.removeprefix(place.uri + "/").encode()
    assert [stat.uri for stat in place.storage.list(place.at("a"))] == [place.at("a/x")]


def test_what_is_not_finished_is_not_listed(place: Place) -> None:
    place.storage.write(place.at("a/.tmp-1234"), b"")
    assert list(place.storage.list(place.uri)) == []


def test_one_of_many_creators_wins(place: Place) -> None:
    uri = place.at("one")
    won = _together(8, lambda i: place.storage.create_if_absent(uri, bytes([i]) * 1000))
    assert sorted(map(bool, won)) == [False] * 7 + [True]
    assert len(place.storage.read(uri)) == 1000


def test_one_of_many_replaces(place: Place) -> None:
    uri = place.at("one")
    place.storage.write(uri, b"first")
    version = place.storage.stat(uri).version
    won = _together(8, lambda i: place.storage.replace_if(uri, bytes([i]) * 1000, version))
    assert sorted(map(bool, won)) == [False] * 7 + [True]
    assert not place.storage.replace_if(uri, b"late", version)
    assert not place.storage.replace_if(place.at("none"), b"new", version)
    assert not place.storage.exists(place.at("none"))


def test_many_are_deleted(place: Place) -> None:
    uris = [place.at(key) for key in KEYS]
    for uri in uris:
        place.storage.write(uri, b"x")
    place.storage.delete_many([*uris[1:], place.at("none")])
    assert [stat.uri for stat in place.storage.list(place.uri)] == uris[:1]
    place.storage.delete_many([])
    place.storage.delete(uris[0])
    place.storage.delete(uris[0])
    assert list(place.storage.list(place.uri)) == []


def test_the_clock_is_that_of_modified_at_and_leaves_nothing(place: Place) -> None:
    uri = place.at("lease")
    place.storage.write(uri, b"x")
    before = [stat.uri for stat in place.storage.list(place.uri)]
    for asked in (uri, place.at("none")):
        assert abs(place.storage.clock(asked) - place.storage.stat(uri).modified_at) < 5
    assert [stat.uri for stat in place.storage.list(place.uri)] == before


def test_a_local_copy_is_whole_and_goes_again(place: Place, tmp_path: Path) -> None:
    uri, scratch = place.at("v.mp4"), tmp_path / "scratch"
    place.storage.write(uri, b"0123456789")
    with place.storage.local_file(uri, scratch) as path:
        assert path.read_bytes() == b"0123456789"
        assert path.name.endswith("v.mp4"), "FFmpeg may look at the ending"
        assert path.is_relative_to(scratch) == place.is_store
    assert path.exists() != place.is_store
    assert not place.is_store or list(scratch.iterdir()) == []


def test_a_file_open_is_of_one_version(place: Place) -> None:
    if not place.is_store:
        pytest.skip("an open local file is of one version by itself")
    uri = place.at("a")
    place.storage.write(uri, b"1" * 600_000)
    with place.storage.open_seekable(uri) as file:
        assert file.read(10) == b"1" * 10
        place.storage.write(uri, b"2" * 600_000)
        file.seek(500_000)
        with pytest.raises(StorageError, match="was replaced"):
            file.read(10)
