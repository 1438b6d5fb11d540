"""Small inputs for runs between which something changes, and what such runs leave."""

from __future__ import annotations

import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

from make_video import VideoSpec
from run_command import Curated

STRIDE = (
    *("--fixed_stride_split_duration", "2", "--fixed_stride_min_clip_length_s", "1"),
    *("--clip_re_chunk_size", "1"),
)
TINY = VideoSpec(seconds=9, size=(64, 64), keyframe_every=25)
"""Five clips in two chunks."""
OTHER = VideoSpec(seconds=9, size=(64, 64), keyframe_every=20)
SCORED = VideoSpec(seconds=3, size=(320, 256), keyframe_every=25)
"""Two clips, large enough to be scored for motion."""

MadeVideo = Callable[[str, VideoSpec], Path]
Stamps = dict[str, tuple[int, int, int]]


def input_of(folder: Path, *sources: Path) -> Curated:
    """Return an input of copies of these videos that nothing was made of yet."""
    (folder / "raw").mkdir()
    for source in sources:
        shutil.copyfile(source, folder / "raw" / source.name)
    return Curated.below(folder, folder / "raw")


def stamps(*folders: Path) -> Stamps:
    """Return inode, size and time of change of every file below; the stored options left out."""
    found = {}
    for path in (path for folder in folders for path in folder.rglob("*")):
        if not path.is_file() or path.name == "options.json":
            continue
        status = path.stat()
        found[str(path)] = (status.st_ino, status.st_size, status.st_mtime_ns)
    return found


def keys(dataset: Path) -> list[str]:
    """Return the key of every sample in every tar of videos."""
    found = []
    for path in sorted(dataset.glob("v0/**/video/**/*.tar")):
        with tarfile.open(path) as tar:
            found += [name.removesuffix(".mp4") for name in tar.getnames()]
    return found


def failures(run: Curated) -> dict[str, str]:
    """Return ``stage/reason`` of every failure file, by the relative path of its video."""
    found = {}
    for path in (run.out / "failures").rglob("*.json"):
        content = json.loads(path.read_text())
        found[content["rel"]] = f"{content['stage']}/{content['reason']}"
    return found


def lose_a_clip(run: Curated, rel: str, start_seconds: float) -> str:
    """Remove a clip of a video and its chunk's record; return the clip's id."""
    [(clip_id, meta)] = [
        (clip_id, meta)
        for clip_id, meta in run.metas().items()
        if meta["source_video"].endswith("/" + rel) and meta["duration_span"][0] == start_seconds
    ]
    Path(meta["clip_location"]).unlink()
    (run.out / "metas" / "v0" / f"{clip_id}.json").unlink()
    (run.out / "processed_clip_chunks" / f"{rel}_{int(start_seconds // 8)}.json").unlink()
    return clip_id


def without_parts(run: Curated) -> dict[str, str]:
    """Return the trees, tars and their lists left out: part numbers tell of an earlier run."""
    return {
        path: digest
        for path, digest in run.trees().items()
        if not path.startswith("dataset/") and not path.startswith("out/failures/")
    }
