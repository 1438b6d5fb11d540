"""Local storage: objects appear whole or not at all; listings report what they cannot enter."""

from __future__ import annotations

import os
import tempfile
import threading
from pathlib import Path

import pytest

from transforms.errors import PreflightError
from transforms.storage.interface import NotFoundError, StorageError
from transforms.storage.local import LocalStorage
from transforms.storage.open_storage import storage_for

storage = LocalStorage()


def test_write_read_stat_delete(tmp_path: Path) -> None:
    uri = str(tmp_path / "a" / "b.bin")
    storage.write(uri, b"0123456789")
    assert storage.read(uri) == b"0123456789"
    assert storage.read_range(uri, 8, 5) == b"89"
    assert storage.stat(uri).num_bytes == 10
    assert [stat.uri for stat in storage.list(str(tmp_path))] == [uri]
    storage.delete(uri)
    storage.delete(uri)
    assert not storage.exists(uri)
    with pytest.raises(NotFoundError, match="no such file"):
        storage.read(uri)


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    uri = str(tmp_path / "a.bin")
    with pytest.raises(StorageError):
        storage.write(uri, tmp_path / "missing-source")
    assert os.listdir(tmp_path) == []


def test_one_of_many_creators_wins(tmp_path: Path) -> None:
    uri = str(tmp_path / "a.bin")
    won: list[bytes] = []

    def create(content: bytes) -> None:
        if storage.create_if_absent(uri, content):
            won.append(content)

    threads = [threading.Thread(target=create, args=(bytes([i]) * 1000,)) for i in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert storage.read(uri) == won[0]
    assert os.listdir(tmp_path) == ["a.bin"]


def test_replace_if_needs_the_version_that_was_read(tmp_path: Path) -> None:
    uri = str(tmp_path / "a.json")
    storage.write(uri, b"one")
    version = storage.stat(uri).version
    assert storage.replace_if(uri, b"two", version)
    assert not storage.replace_if(uri, b"three", version)
    assert storage.read(uri) == b"two"
    assert os.listdir(tmp_path) == ["a.json"]


def test_listing_is_sorted_by_whole_path_and_leaves_out_temporaries(tmp_path: Path) -> None:
    for rel in ("a/x", "a.b", "a-c", ".tmp-123", "b/.hidden"):
        path = tmp_path / rel
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")
    found = [os.path.relpath(stat.uri, tmp_path) for stat in storage.list(str(tmp_path))]
    assert found == sorted(found) == ["a-c", "a.b", "a/x", "b/.hidden"]


def test_listing_reports_loops_pipes_and_broken_links(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "loop").symlink_to(tmp_path)
    (tmp_path / "sub" / "gone.mp4").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "real.mp4").write_bytes(b"x")
    problems: list[tuple[str, str]] = []
    found = list(storage.list(str(tmp_path), lambda uri, why: problems.append((uri, why))))
    assert [stat.uri for stat in found] == [str(tmp_path / "real.mp4")]
    assert {(os.path.basename(uri), why) for uri, why in problems} == {
        ("loop", "is a symlink loop"),
        ("pipe.mp4", "is not a regular file"),
        ("gone.mp4", "cannot be read: No such file or directory"),
    }


def test_a_listing_without_a_handler_raises(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(StorageError, match="not a regular file"):
        list(storage.list(str(tmp_path)))


def test_a_missing_folder_lists_nothing(tmp_path: Path) -> None:
    assert list(storage.list(str(tmp_path / "none"))) == []


def test_unknown_schemes_are_refused_by_name() -> None:
    with pytest.raises(PreflightError, match="ftp://"):
        storage_for("ftp://host/a")


def test_publishing_moves_a_file_and_uses_it_up(tmp_path: Path) -> None:
    staging = storage.staging(str(tmp_path / "out"), tmp_path / "scratch")
    assert staging.is_relative_to(tmp_path / "out")
    staging.mkdir(parents=True)
    (staging / "a.tar").write_bytes(b"new")
    number = (staging / "a.tar").stat().st_ino
    uri = str(tmp_path / "out" / "part" / "a.tar")
    storage.write(uri, b"old")
    storage.publish(uri, staging / "a.tar")
    assert storage.read(uri) == b"new"
    assert Path(uri).stat().st_ino == number, "moved, not copied"
    assert list(staging.iterdir()) == []


def test_publishing_from_another_file_system_copies(tmp_path: Path) -> None:
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("needs a second file system")
    with tempfile.TemporaryDirectory(dir=memory) as name:
        (Path(name) / "a.tar").write_bytes(b"new")
        uri = str(tmp_path / "out" / "a.tar")
        storage.publish(uri, Path(name) / "a.tar")
        assert storage.read(uri) == b"new"
        assert list(Path(name).iterdir()) == []
