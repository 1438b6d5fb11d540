"""What counts as an input, and what is reported instead."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

import pytest
from unprivileged import as_nobody

from transforms.errors import UsageError
from transforms.ingest.list_videos import VideoInput, list_videos
from transforms.storage.interface import NotFoundError

ODD_NAMES = [
    "with space.mp4",
    "quote'\".mp4",
    "hash#percent%20.mp4",
    "new\nline.mp4",
    "ünïcødé 影片.mp4",
    "n" * 200 + ".mp4",
    "-dash.mp4",
    "no_extension",
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "raw"
    (root / "sub").mkdir(parents=True)
    return root


def rels(root: Path, **options: object) -> list[str]:
    listing = list_videos(VideoInput(input_video_path=str(root), **options))
    return [video.rel for video in listing.videos]


def test_odd_names_are_videos_like_others(folder: Path) -> None:
    for name in ODD_NAMES:
        (folder / "sub" / name).write_bytes(b"x")
    assert sorted(rels(folder)) == sorted(f"sub/{name}" for name in ODD_NAMES)


def test_sidecars_are_counted_not_tried(folder: Path) -> None:
    for name in ("a.mp4", "a.json", "a.srt", "cover.JPG", ".DS_Store", "._a.mp4", "a.mp4.txt"):
        (folder / name).write_bytes(b"x")
    listing = list_videos(VideoInput(input_video_path=str(folder)))
    assert [video.rel for video in listing.videos] == ["a.mp4"]
    assert listing.num_sidecars == 6


def test_ids_come_from_the_path_or_from_id_root(folder: Path) -> None:
    (folder / "sub" / "a.mp4").write_bytes(b"xyz")
    (video,) = list_videos(VideoInput(input_video_path=str(folder))).videos
    assert video.source_id == video.uri == str(folder / "sub" / "a.mp4")
    assert video.num_bytes == 3
    moved = VideoInput(input_video_path=str(folder), id_root="s3://bucket/raw/")
    (video,) = list_videos(moved).videos
    assert video.source_id == "s3://bucket/raw/sub/a.mp4"
    assert video.uri == str(folder / "sub" / "a.mp4")


def test_one_file_is_an_input(folder: Path) -> None:
    (folder / "a.mp4").write_bytes(b"x")
    (folder / "b.mp4").write_bytes(b"x")
    listing = list_videos(VideoInput(input_video_path=str(folder / "a.mp4")))
    assert [(video.rel, video.uri) for video in listing.videos] == [
        ("a.mp4", str(folder / "a.mp4"))
    ]


def test_relative_paths_become_absolute_without_resolving_links(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "a.mp4").write_bytes(b"x")
    (folder.parent / "link").symlink_to(folder)
    monkeypatch.chdir(folder.parent)
    (video,) = list_videos(VideoInput(input_video_path="link/")).videos
    assert video.uri == str(folder.parent / "link" / "a.mp4")


def write_list(folder: Path, paths: object) -> str:
    path = folder.parent / "list.json"
    path.write_text(json.dumps(paths))
    return str(path)


def test_a_list_selects_files_below_the_root(folder: Path) -> None:
    for name in ("a.mp4", "b.mp4", "c.mp4"):
        (folder / name).write_bytes(b"x")
    chosen = write_list(folder, [str(folder / "c.mp4"), str(folder / "a.mp4")])
    assert rels(folder, input_video_list_json_path=chosen) == ["a.mp4", "c.mp4"]


def test_a_listed_path_outside_the_root_is_an_error(folder: Path) -> None:
    outside = write_list(folder, [str(folder.parent / "raw2" / "a.mp4")])
    with pytest.raises(UsageError, match="does not lie below"):
        rels(folder, input_video_list_json_path=outside)


@pytest.mark.parametrize("content", [{"a": 1}, [1], "text"])
def test_a_list_that_is_no_array_of_paths_is_an_error(folder: Path, content: object) -> None:
    with pytest.raises(UsageError, match="JSON array of paths"):
        rels(folder, input_video_list_json_path=write_list(folder, content))


def test_a_listed_file_that_is_missing_is_named(folder: Path) -> None:
    missing = write_list(folder, [str(folder / "gone.mp4")])
    with pytest.raises(NotFoundError, match=r"gone\.mp4"):
        rels(folder, input_video_list_json_path=missing)


def test_names_without_room_for_records_and_bad_names_are_reported(folder: Path) -> None:
    (folder / ("n" * 251 + ".mp4")).write_bytes(b"x")
    Path(os.fsdecode(os.fsencode(folder) + b"/bad\xff.mp4")).write_bytes(b"x")
    listing = list_videos(VideoInput(input_video_path=str(folder)))
    assert listing.videos == ()
    reasons = sorted(reason.split(";")[0] for _, reason in listing.problems)
    assert reasons == ["has a name of 255 bytes", "has a name that is not valid UTF-8"]


def test_unreadable_folders_are_reported() -> None:
    # Not below tmp_path: its parents are closed to other users.
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        root.chmod(0o755)
        (root / "closed").mkdir(mode=0)
        (root / "a.mp4").write_bytes(b"x")
        listing = as_nobody(lambda: list_videos(VideoInput(input_video_path=name)))
    assert [video.rel for video in listing.videos] == ["a.mp4"]
    assert listing.problems == ((str(root / "closed"), "cannot be listed: Permission denied"),)
