"""What is published is on disk before it has its name; ``--no-fsync`` leaves that to the system."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from make_video import VideoSpec, make_video
from tree import tree
from wrong_use import split, use_process

from transforms.media.packet_index import PacketIndex, build_packet_index
from transforms.media.probe import probe
from transforms.storage.local import LocalStorage
from transforms.storage.sync import syncing

storage = LocalStorage()

# Every Python process of a run imports this module first: the calls are the real ones, noted.
RECORDER = """
import json, os

def noting(name):
    call = getattr(os, name)
    def noted(*arguments, **options):
        result = call(*arguments, **options)
        paths = [name_of(argument) for argument in arguments[:2]]
        handle = os.open(os.environ["CALLS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(handle, json.dumps([os.getpid(), name, *paths]).encode() + b"\\n")
        os.close(handle)
        return result
    setattr(os, name, noted)

def name_of(argument):
    return os.readlink(f"/proc/self/fd/{argument}") if isinstance(argument, int) else str(argument)

for name in ("fsync", "replace", "link"):
    noting(name)
"""


Calls = list[tuple[str, ...]]


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """Return the list of (call, path, path ...) of this process in their real order."""
    calls: Calls = []

    def noting(name: str) -> Callable[..., object]:
        call = getattr(os, name)

        def noted(*arguments: object, **options: object) -> object:
            paths = [
                str(Path(f"/proc/self/fd/{one}").readlink() if isinstance(one, int) else one)
                for one in arguments[:2]
            ]
            result = call(*arguments, **options)
            calls.append((name, *paths))
            return result

        return noted

    for name in ("fsync", "replace", "link"):
        monkeypatch.setattr(os, name, noting(name))
    return calls


def test_a_written_file_is_synced_before_its_name_and_the_folders_with_it(
    tmp_path: Path, recorded: Calls
) -> None:
    uri = str(tmp_path / "new" / "deep" / "a.json")
    storage.write(uri, b"one")
    made, new, file, renamed, folder = recorded
    assert made == ("fsync", str(tmp_path))
    assert new == ("fsync", str(tmp_path / "new"))
    temporary = file[1]
    assert Path(temporary).name.startswith(".tmp-")
    assert file == ("fsync", temporary)
    assert renamed == ("replace", temporary, uri)
    assert folder == ("fsync", str(tmp_path / "new" / "deep"))


def test_a_created_file_is_synced_before_its_name(tmp_path: Path, recorded: Calls) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"x" * 100_000)
    uri = str(tmp_path / "a.mp4")
    assert storage.create_if_absent(uri, tmp_path / "clip.mp4")
    assert not storage.create_if_absent(uri, tmp_path / "clip.mp4")
    file, linked, folder = recorded
    assert file[0] == "fsync"
    assert linked == ("link", file[1], uri)
    assert folder == ("fsync", str(tmp_path))


def test_a_published_tar_is_synced_before_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recorded: Calls
) -> None:
    (tmp_path / "staging").mkdir()
    tar = tmp_path / "staging" / "a.tar"
    tar.write_bytes(b"x")
    storage.publish(str(tmp_path / "part" / "a.tar"), tar)
    moved = recorded.index(("replace", str(tar), str(tmp_path / "part" / "a.tar")))
    assert recorded.index(("fsync", str(tar))) < moved
    assert recorded[moved + 1 :] == [("fsync", str(tmp_path / "part"))]


def test_a_packet_index_is_synced_before_its_name(tmp_path: Path, recorded: Calls) -> None:
    source = make_video(tmp_path / "a.mp4", VideoSpec(seconds=1, size=(64, 64)))
    facts = probe(str(source), name="a.mp4", num_bytes=source.stat().st_size)
    index = build_packet_index(str(source), facts)
    recorded.clear()
    target = tmp_path / "index.npz"
    index.save(target)
    file, renamed, folder = recorded
    assert file[0] == "fsync"
    assert Path(file[1]).name.startswith(".tmp-"), "the next run sweeps it"
    assert renamed == ("replace", file[1], str(target))
    assert folder == ("fsync", str(tmp_path))
    assert np.array_equal(PacketIndex.load(target).pts, index.pts)


def test_without_syncing_files_still_appear_whole(tmp_path: Path, recorded: Calls) -> None:
    with syncing(False):
        storage.write(str(tmp_path / "new" / "a"), b"one")
        storage.create_if_absent(str(tmp_path / "b"), b"one")
        (tmp_path / "c").write_bytes(b"x")
        storage.publish(str(tmp_path / "d"), tmp_path / "c")
    assert [call[0] for call in recorded] == ["replace", "link", "replace"]
    storage.write(str(tmp_path / "e"), b"one")
    assert "fsync" in [call[0] for call in recorded], "the setting ends with its context"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, list[list[str]]]]:
    """Return output and recorded calls of a run with and of one without syncing, two workers."""
    folder = tmp_path_factory.mktemp("fsync")
    (folder / "site").mkdir()
    (folder / "site" / "sitecustomize.py").write_text(RECORDER)
    (folder / "raw").mkdir()
    make_video(folder / "raw" / "a.mp4", VideoSpec(seconds=3, size=(96, 64)))
    found = {}
    for name, options in {"--fsync": (), "--no-fsync": ("--no-fsync",)}.items():
        out, calls = folder / name / "out", folder / f"calls{name}"
        ended = use_process(
            *split(folder / "raw", out, *options),
            *("--direct_running_mode=multi_processing", "--direct_num_workers=2"),
            env={"PYTHONPATH": str(folder / "site"), "CALLS": str(calls)},
        )
        assert ended.status == 0, ended.err
        lines = calls.read_text().splitlines()
        found[name] = (out, [list(map(str, json.loads(line))) for line in lines])
    return found


def test_every_file_of_a_run_is_synced_before_its_name(
    runs: dict[str, tuple[Path, list[list[str]]]],
) -> None:
    out, calls = runs["--fsync"]
    synced: set[tuple[str, str]] = set()
    published = []
    for process, name, *paths in calls:
        if name == "fsync":
            synced.add((process, paths[0]))
        elif paths[1].startswith(str(out)):
            assert (process, paths[0]) in synced, f"{paths[1]} has its name before it is on disk"
            published.append((process, paths[1]))
    kinds = {Path(path).parent.relative_to(out).as_posix() for _, path in published}
    assert {"clips", "metas/v0", "processed_videos", "runs", ".work/plans", ".work/index"} <= kinds
    assert len({process for process, _ in published}) >= 2, "also by workers"
    # Whatever stays in the output was published so.
    stays = {str(path) for path in out.rglob("*") if path.is_file()}
    assert stays <= {path for _, path in published}


def test_a_run_can_do_without_in_all_its_processes(
    runs: dict[str, tuple[Path, list[list[str]]]],
) -> None:
    out, calls = runs["--no-fsync"]
    processes = {process for process, *_ in calls}
    assert len(processes) >= 2
    assert [call for call in calls if call[1] == "fsync"] == []
    synced = runs["--fsync"][0]
    assert tree(out, {"<out>": out}) == tree(synced, {"<out>": synced})
