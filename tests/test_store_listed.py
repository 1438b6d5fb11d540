"""A JSON list of videos in a store: one request for each, ahead of who takes them, in order."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from store_servers import S3Server
from store_worlds import Store, s3_behind_proxy, split_uri

from transforms.ingest.list_videos import InputNotes, VideoInput, iter_videos
from transforms.storage.interface import NotFoundError

pytestmark = pytest.mark.store

NAMES = [f"{number:02}.mp4" for number in range(40)]


@pytest.fixture
def store(s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    with s3_behind_proxy(tmp_path, s3_server) as world:
        for name, value in world.variables(tmp_path).items():
            monkeypatch.setenv(name, value)
        yield world


def listed(store: Store, folder: Path, names: list[str]) -> VideoInput:
    """Store the videos and name them, and perhaps others, in a list."""
    root = f"{store.new_root()}/raw"
    for number, name in enumerate(NAMES):
        store.put(f"{root}/{name}", b"x" * number)
    path = folder / "list.json"
    path.write_text(json.dumps([f"{root}/{name}" for name in names]))
    store.proxy.clear()
    return VideoInput(input_video_path=root, input_video_list_json_path=str(path))


def asked(store: Store, config: VideoInput) -> Counter[str]:
    """Return for each name below the input how many requests there were."""
    start = "/" + "/".join(split_uri(str(config.input_video_path))) + "/"
    found = [one.path for one in store.proxy.requests if one.path.startswith(start)]
    return Counter(path.removeprefix(start) for path in found)


def test_each_video_costs_one_request(store: Store, tmp_path: Path) -> None:
    config = listed(store, tmp_path, NAMES[::-1])
    videos = list(iter_videos(config, InputNotes()))
    assert [(one.rel, one.num_bytes) for one in videos] == list(
        zip(NAMES, range(len(NAMES)), strict=True)
    )
    assert asked(store, config) == dict.fromkeys(NAMES, 1)


def test_others_are_asked_for_before_they_are_taken(store: Store, tmp_path: Path) -> None:
    config = listed(store, tmp_path, NAMES)
    videos = iter_videos(config, InputNotes())
    assert next(videos).rel == NAMES[0]
    deadline = time.monotonic() + 60
    while len(asked(store, config)) < len(NAMES):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert [one.rel for one in videos] == NAMES[1:]


def test_one_that_is_missing_is_named_at_its_place(store: Store, tmp_path: Path) -> None:
    config = listed(store, tmp_path, [*NAMES, "20a.mp4"])
    videos = iter_videos(config, InputNotes())
    assert [next(videos).rel for _ in range(21)] == NAMES[:21]
    with pytest.raises(NotFoundError, match=r"raw/20a\.mp4"):
        next(videos)
