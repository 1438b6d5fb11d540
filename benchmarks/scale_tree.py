"""A finished output of a million clips without their pixels: one real output, copied many times.

One drawn video of ten seconds is split for real; its plan, records and metadata are then written
again and again under other names and ids. Videos and clips are sparse files of the right size, so
that a million of them take a few GB of small files.
"""

from __future__ import annotations

import dataclasses
import json
import os
import random
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from transforms.records import video_uuid
from transforms.sample import RECIPES, draw_video

CLIPS_PER_VIDEO = 10
VIDEOS_PER_FOLDER = 1000
_NAME = "template.mp4"


@dataclasses.dataclass(frozen=True)
class Tree:
    """Where a made tree lies."""

    raw: Path
    out: Path

    @classmethod
    def below(cls, folder: Path) -> Tree:
        """Return the tree in a folder, be it made or not."""
        return cls(folder / "raw", folder / "out")


def command_of(tree: Tree, *options: str) -> list[str]:
    """Return the command line that made the tree's template, and finds it finished."""
    return [
        *(sys.executable, "-m", "beam_pipeline", "split", "--no-predict", "--no-fsync"),
        *("--splitting_algorithm", "fixed-stride", "--fixed_stride_split_duration", "1"),
        *("--fixed_stride_min_clip_length_s", "0.5"),
        *("--input_video_path", str(tree.raw), "--output_clip_path", str(tree.out)),
        *options,
    ]


def draw_small_video(path: Path, *, seconds: float, seed: int) -> None:
    """Draw a video of 128x72 pixels."""
    (recipe,) = (recipe for recipe in RECIPES if recipe.name == "hd")
    draw_video(path, dataclasses.replace(recipe, size=(128, 72)), seconds=seconds, seed=seed)
    path.with_suffix(".truth.json").unlink()


def make_tree(folder: Path, *, num_clips: int, records_only: bool = False) -> Tree:
    """Make the tree unless it is there; return it.

    Args:
        folder: Where.
        num_clips: How many.
        records_only: Whether it has the records of videos and chunks alone: a sixth of the files.

    Raises:
        CalledProcessError: The template could not be split.
    """
    tree = Tree.below(folder)
    done = folder / "made"
    if done.exists() and done.read_text() == str(num_clips):
        return tree
    template = Tree.below(folder / "template")
    template.raw.mkdir(parents=True)
    draw_small_video(template.raw / _NAME, seconds=float(CLIPS_PER_VIDEO), seed=1)
    subprocess.run(command_of(template), check=True, stdout=subprocess.DEVNULL)
    tree.raw.mkdir(parents=True)
    _multiply(template, tree, num_clips // CLIPS_PER_VIDEO, records_only=records_only)
    done.write_text(str(num_clips))
    return tree


def _multiply(template: Tree, tree: Tree, num_videos: int, *, records_only: bool) -> None:
    files = _Files(template, tree)
    rels = [f"{number // VIDEOS_PER_FOLDER:05d}/{number:08d}.mp4" for number in range(num_videos)]
    for name in ("clips", "metas/v0", ".work/plans", "runs"):
        (tree.out / name).mkdir(parents=True)
    for folder in sorted({rel.split("/")[0] for rel in rels}):
        for parent in ("processed_videos", "processed_clip_chunks"):
            (tree.out / parent / folder).mkdir(parents=True)
        (tree.raw / folder).mkdir()
    numbers = random.Random(1)
    for rel in rels:
        files.write(rel, numbers, records_only=records_only)
    (tree.out / "runs" / "options.json").write_text(
        (template.out / "runs" / "options.json").read_text()
    )
    record = json.loads((template.out / "runs" / "0001.json").read_text())
    sources = [str(tree.raw / rel) for rel in rels]
    record["videos"] = [list(item) for item in zip(rels, sources, sources, strict=True)]
    record["num_input_videos"] = num_videos
    record["ledger"] = _multiplied(record["ledger"], num_videos)
    (tree.out / "runs" / "0001.json").write_text(json.dumps(record, indent=4) + "\n")


def _multiplied(ledger: dict[str, Any], times: int) -> dict[str, Any]:
    return {
        name: value * times if isinstance(value, int | float) else value
        for name, value in ledger.items()
    }


class _Files:
    """The files of one video, as text in which names and ids are replaced."""

    def __init__(self, template: Tree, tree: Tree) -> None:
        out = template.out
        self._tree = tree
        self._source = str(template.raw / _NAME)
        self._video_id = video_uuid(self._source)
        self._num_bytes = (template.raw / _NAME).stat().st_size
        self._clips = {path.stem: path.stat().st_size for path in (out / "clips").iterdir()}
        self._metas = {path.stem: self._neutral(path) for path in (out / "metas" / "v0").iterdir()}
        self._plan = self._neutral(out / ".work" / "plans" / f"{self._video_id}.json")
        self._record = self._neutral(out / "processed_videos" / f"{_NAME}.json")
        folder = out / "processed_clip_chunks"
        self._chunks = [self._neutral(path) for path in sorted(folder.iterdir())]

    def _neutral(self, path: Path) -> str:
        text = path.read_text().replace(str(path.parents[1]), "<out>")
        return text.replace(self._source, "<source>").replace(self._video_id, "<video>")

    def write(self, rel: str, numbers: random.Random, *, records_only: bool) -> None:
        source = str(self._tree.raw / rel)
        ids = {old: str(uuid.UUID(int=numbers.getrandbits(128))) for old in self._clips}
        video_id, out = video_uuid(source), self._tree.out

        def text(content: str) -> str:
            content = content.replace("<source>", source).replace("<video>", video_id)
            content = content.replace(f'"{_NAME}"', f'"{rel}"').replace("<out>", str(out))
            for old, new in ids.items():
                content = content.replace(old, new)
            return content

        (out / "processed_videos" / f"{rel}.json").write_text(text(self._record))
        for index, chunk in enumerate(self._chunks):
            (out / "processed_clip_chunks" / f"{rel}_{index}.json").write_text(text(chunk))
        if records_only:
            return
        _sparse(source, self._num_bytes)
        (out / ".work" / "plans" / f"{video_id}.json").write_text(text(self._plan))
        for old, meta in self._metas.items():
            content = meta.replace("<source>", source).replace(old, ids[old])
            content = content.replace("<out>/metas", str(out / "clips"))
            (out / "metas" / "v0" / f"{ids[old]}.json").write_text(content)
            _sparse(str(out / "clips" / f"{ids[old]}.mp4"), self._clips[old])


def _sparse(path: str, num_bytes: int) -> None:
    handle = os.open(path, os.O_CREAT | os.O_WRONLY, 0o644)
    os.ftruncate(handle, num_bytes)
    os.close(handle)


def clip_counts(text: str) -> Iterator[int]:
    """Yield the numbers of clips in a list such as ``100,1000``."""
    for part in text.split(","):
        yield int(float(part))
