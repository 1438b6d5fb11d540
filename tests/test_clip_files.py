"""Where a clip's files lie in scratch, and what they take."""

from __future__ import annotations

from pathlib import Path

import pytest

from transforms.media.clip_files import (
    clip_path,
    cutting_folder,
    discard,
    has_room,
    preview_folder,
    used_bytes,
)


def put_files(scratch: Path, clip_id: str) -> None:
    preview_folder(scratch, clip_id).mkdir(parents=True)
    clip_path(scratch, clip_id).write_bytes(b"x" * 1000)
    (preview_folder(scratch, clip_id) / "0_255.webp").write_bytes(b"x" * 50)


def test_layout(tmp_path: Path) -> None:
    assert clip_path(tmp_path, "c1") == tmp_path / "clips/c1/c1.mp4"
    assert preview_folder(tmp_path, "c1") == tmp_path / "clips/c1/previews"
    assert cutting_folder(tmp_path, "j1") == tmp_path / "cutting/j1"


def test_discard_removes_one_clip_only(tmp_path: Path) -> None:
    put_files(tmp_path, "c1")
    put_files(tmp_path, "c2")
    discard(tmp_path, "c1")
    discard(tmp_path, "c1")
    left = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*"))
    assert left == [
        "clips",
        "clips/c2",
        "clips/c2/c2.mp4",
        "clips/c2/previews",
        "clips/c2/previews/0_255.webp",
    ]


def test_used_bytes_counts_every_file(tmp_path: Path) -> None:
    assert used_bytes(tmp_path / "absent") == 0
    put_files(tmp_path, "c1")
    cutting_folder(tmp_path, "j1").mkdir(parents=True)
    (cutting_folder(tmp_path, "j1") / "part").write_bytes(b"x" * 7)
    (tmp_path / "clips" / "dangling").symlink_to("nowhere")
    assert used_bytes(tmp_path) == 1000 + 50 + 7 + len("nowhere")


@pytest.mark.parametrize(("budget_bytes", "room"), [(None, True), (1051, True), (1050, False)])
def test_a_full_scratch_folder_has_no_room(
    tmp_path: Path, budget_bytes: int | None, room: bool
) -> None:
    put_files(tmp_path, "c1")
    assert has_room(tmp_path, budget_bytes=budget_bytes) is room
