"""A scratch folder that is full or broken ends the run: no video is blamed for it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from make_video import VideoSpec, make_video
from store_servers import S3Server
from store_worlds import KINDS, Store, gcs_behind_proxy, s3_behind_proxy
from wrong_use import use

from transforms.clips.source_copies import drop_idle, local_source
from transforms.storage.interface import StorageError
from transforms.storage.scratch_copy import ScratchError

pytestmark = pytest.mark.store

DISK_BYTES = 256 << 10
SHOTS = (
    *("--splitting_algorithm", "content", "--transnetv2_min_length_s", "0.2"),
    *("--transnetv2_min_length_frames", "0", "--content_threshold", "255"),
    *("--clip_re_chunk_size", "1", "--no-predict"),
)
"""A video that cannot be read is a failure of this video while shots are found."""


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "gcs":
        with gcs_behind_proxy() as store:
            yield store
    else:
        with s3_behind_proxy(tmp_path, request.getfixturevalue("s3_server")) as store:
            yield store


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(command, check=False).returncode != 0:
        pytest.skip("a small disk needs the right to mount one")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_is_named(store: Store, small_disk: Path) -> None:
    uri = f"{store.new_root()}/large.mp4"
    store.put(uri, b"x" * (2 * DISK_BYTES))
    with (
        pytest.raises(ScratchError) as told,
        store.new_storage().local_file(uri, small_disk),
    ):
        pytest.fail("it does not fit")
    assert not isinstance(told.value, StorageError)
    assert f"scratch folder {small_disk}: No space left on device, so {uri}" in str(told.value)
    assert str(told.value).endswith("name another folder with --scratch_path")
    assert list(small_disk.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_named(store: Store, tmp_path: Path) -> None:
    uri = f"{store.new_root()}/a.mp4"
    store.put(uri, b"x")
    (tmp_path / "file").write_bytes(b"")
    with (
        pytest.raises(ScratchError, match=f"scratch folder {tmp_path}/file/in: Not a directory"),
        store.new_storage().local_file(uri, tmp_path / "file" / "in"),
    ):
        pytest.fail("there is no folder")


def test_copies_that_nobody_uses_make_room(
    store: Store, small_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in store.variables(tmp_path).items():
        monkeypatch.setenv(name, value)
    root = store.new_root()
    for key in "abc":
        store.put(f"{root}/{key}.mp4", key.encode() * 100_000)
    try:
        # Two are kept; the third does not fit beside them.
        for key in "abc":
            with local_source(f"{root}/{key}.mp4", small_disk) as path:
                assert path.read_bytes() == key.encode() * 100_000
        store.put(f"{root}/large.mp4", b"x" * (2 * DISK_BYTES))
        with (
            pytest.raises(ScratchError, match="No space left on device"),
            local_source(f"{root}/large.mp4", small_disk),
        ):
            pytest.fail("it does not fit")
    finally:
        drop_idle()
    assert list(small_disk.iterdir()) == []


def test_a_run_ends_and_no_video_has_failed(
    s3_server: S3Server,
    small_disk: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spec = VideoSpec(seconds=2, size=(320, 180), noise=True)
    video = make_video(tmp_path / "a.mp4", spec).read_bytes()
    assert len(video) > DISK_BYTES
    with s3_behind_proxy(tmp_path, s3_server) as store:
        for name, value in store.variables(tmp_path).items():
            monkeypatch.setenv(name, value)
        root = store.new_root()
        store.put(f"{root}/raw/a.mp4", video)
        where = ("--input_video_path", f"{root}/raw", "--output_clip_path", f"{root}/out")
        ended = use(capsys, "split", *where, *SHOTS, "--scratch_path", small_disk)
        assert ended.status == 1
        ended.told("scratch folder", str(small_disk), "No space left on device", "--scratch_path")
        assert [key for key in store.keys(root) if "/failures/" in key] == []
        assert use(capsys, "split", *where, *SHOTS).status == 0
