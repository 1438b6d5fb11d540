"""Ways to damage a finished output and its dataset, each at a place of its own."""

from __future__ import annotations

import json
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from run_command import Curated


@dataclass(frozen=True)
class Victim:
    """A finished output to damage; ids are told from its files."""

    run: Curated

    @cached_property
    def ids(self) -> dict[str, list[str]]:
        """Relative path of a video to its committed clips in order."""
        clips: dict[str, list[tuple[float, str]]] = {}
        for clip_id, meta in self.run.metas().items():
            rel = str(Path(meta["source_video"]).relative_to(self.run.raw))
            clips.setdefault(rel, []).append((meta["duration_span"][0], clip_id))
        return {rel: [clip_id for _, clip_id in sorted(found)] for rel, found in clips.items()}

    def kept(self, index: int) -> str:
        """Return a clip that is a sample of its own."""
        return self.ids["sub/slow.mp4"][index]

    def clip(self, clip_id: str, folder: str = "clips") -> Path:
        return self.run.out / folder / f"{clip_id}.mp4"

    def meta(self, clip_id: str) -> Path:
        return self.run.out / "metas" / "v0" / f"{clip_id}.json"

    def chunk(self, index: int) -> Path:
        return self.run.out / "processed_clip_chunks" / "sub" / f"slow.mp4_{index}.json"

    def plan(self, rel: str) -> Path:
        record = self.run.read(f"processed_videos/{rel}.json")
        return self.run.out / ".work" / "plans" / f"{record['video_uuid']}.json"

    def failure(self, stage: str, index: int = 0) -> Path:
        return sorted((self.run.out / "failures" / stage).iterdir())[index]

    def preview(self, index: int) -> Path:
        return sorted(self.run.out.glob(f"previews/{self.ids['windows.mp4'][index]}/*"))[0]

    @property
    def version(self) -> Path:
        return self.run.dataset / "v0"

    @property
    def work(self) -> Path:
        return self.run.dataset / ".work" / "v0"

    def tar(self, part_of: str, kind: str) -> Path:
        (found,) = self.version.glob(f"*/{part_of}/{kind}/part_000000/000000.tar")
        return found

    def commit(self, part_of: str) -> Path:
        (found,) = self.work.glob(f"generation_000000/commits/*/{part_of}/part_000000/000000.json")
        return found


Told = tuple[str, Path]
"""The id and the path that ``verify`` must name."""


def flip(path: Path, position: int) -> Path:
    """Change one bit, and not the size."""
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)
    return path


def cut(path: Path) -> Path:
    """Cut the file in half."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def gone(path: Path) -> Path:
    """Delete the file."""
    path.unlink()
    return path


def edit(path: Path, change: Callable[[Any], object]) -> Path:
    """Change a JSON file in place, written as the program writes it."""
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content, indent=4, sort_keys=True) + "\n")
    return path


def text(path: Path, content: str) -> Path:
    """Put other text there."""
    path.write_text(content)
    return path


def copied(source: Path, target: Path) -> Path:
    """Copy a file to where it does not belong."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    return target


def flip_member(tar: Path, index: int, part: str) -> Path:
    """Change one bit of a member: of its content, its header, or what pads it."""
    with tarfile.open(tar) as archive:
        member = archive.getmembers()[index]
    places = {
        "content": member.offset_data + member.size // 2,
        "header": member.offset + 110,
        "padding": member.offset_data + member.size,
    }
    assert part != "padding" or member.size % 512
    return flip(tar, places[part])


def flip_digit(tar: Path, index: int, after: bytes) -> Path:
    """Change the first digit behind a name in a JSON member."""
    with tarfile.open(tar) as archive:
        member = archive.getmembers()[index]
    data = bytearray(tar.read_bytes())
    place = data.index(after, member.offset_data) + len(after)
    assert chr(data[place]).isdigit()
    data[place] = ord("1") if data[place] != ord("1") else ord("2")
    tar.write_bytes(data)
    return tar
