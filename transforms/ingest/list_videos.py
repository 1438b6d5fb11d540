"""List the inputs: a folder, one file, or a JSON list of paths."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import ClassVar

from transforms.errors import UsageError
from transforms.json_files import read_json
from transforms.layout import PROCESSED_CHUNKS
from transforms.records import Video
from transforms.section import Section, option
from transforms.storage.interface import ObjectStat
from transforms.storage.open_storage import storage_for
from transforms.storage.plain_names import one_line, shown
from transforms.storage.uris import (
    absolute,
    bucket_and_key,
    is_inside,
    join,
    relative,
    scheme_of,
)

_SIDECARS = """
    aac ass bmp cfg csv db doc docx gif gz html ico ini jpeg jpg json jsonl log m3u m3u8 md md5 nfo
    npy npz parquet pdf pickle pkl png py rst sh sha1 sha256 srt sub svg tar tif tiff toml torrent
    tsv ttml txt url vtt webp xml xmp yaml yml zip
"""
SIDECAR_SUFFIXES = frozenset("." + ending for ending in _SIDECARS.split())
"""Files with these endings are not videos; they are counted, not tried (contract App. B 13)."""
SIDECAR_NAMES = frozenset({".ds_store", "thumbs.db", "desktop.ini", ".gitignore", ".gitkeep"})
MAX_NAME_BYTES = 255 - len("_0000000.json")
"""A longer file name has no room for the name of its records."""
MAX_PATH_BYTES = 2048
"""Of a path below the input; with an output's path before it, systems take 4095."""
MAX_KEY_BYTES = 1024
"""Of a whole key in S3 and GCS."""
_NOT_UTF8 = "has a name that is not valid UTF-8; rename it"
_RECORD = re.compile(r"(.+?)(?:_\d+)?\.json")


class VideoInput(Section):
    """Which videos are read."""

    title: ClassVar[str] = "Input"

    input_video_path: str | None = None
    """Folder of raw videos (searched recursively) or one video file."""
    input_video_list_json_path: str | None = None
    """JSON array of full video paths; each must lie below ``input_video_path``."""
    input_s3_profile_name: str = "default"
    """Credentials profile for reading ``s3://`` inputs."""
    input_video_list_s3_profile_name: str = "default"
    """Credentials profile for reading the JSON list."""
    id_root: str | None = None
    """Make ids as if the input lay at this path, so that moved or copied data keeps its ids."""
    limit: int = option(0, unit="videos", ge=0)
    """Most videos to select, 0 = all; videos already done do not count."""


@dataclass(frozen=True)
class Listing:
    """What was found at the input."""

    videos: tuple[Video, ...]
    """Sorted by relative path."""
    num_sidecars: int = 0
    """Files left out because their ending says that they are no videos."""
    problems: tuple[tuple[str, str], ...] = ()
    """(path, reason) of what could not be entered or is no regular file."""


@dataclass
class _Collector:
    root: str
    id_root: str
    max_path_bytes: int
    videos: list[Video] = field(default_factory=list)
    num_sidecars: int = 0
    problems: list[tuple[str, str]] = field(default_factory=list)

    def report(self, uri: str, reason: str) -> None:
        self.problems.append((_as_text(uri), reason))

    def add(self, stat: ObjectStat) -> None:
        rel = relative(stat.uri, self.root)
        name = rel.rsplit("/", 1)[-1]
        problem = name_problem(rel, max_path_bytes=self.max_path_bytes)
        if _is_sidecar(name):
            self.num_sidecars += 1
        elif problem:
            self.report(stat.uri, problem)
        else:
            source_id = join(self.id_root, rel)
            self.videos.append(
                Video(uri=stat.uri, rel=rel, source_id=source_id, num_bytes=stat.num_bytes)
            )

    def leave_out_collisions(self) -> None:
        """Leave out videos in a folder that is named like the record of another video.

        The records' folders mirror the input: a file cannot stand where a folder must.
        """
        rels = {video.rel for video in self.videos}
        kept = []
        for video in self.videos:
            folders = video.rel.split("/")[:-1]
            paths = ("/".join(folders[: depth + 1]) for depth in range(len(folders)))
            records = (path for path in paths if _record_owners(path) & rels)
            if record := next(records, None):
                reason = f"lies in {record}, which is named like a record of another video"
                self.report(video.uri, f"{reason}; rename that folder")
            else:
                kept.append(video)
        self.videos = kept


def list_videos(config: VideoInput, output: str = "") -> Listing:
    """Return every input that is worth a try, and what was left out and why.

    Args:
        config: The input.
        output: Root below which records mirror the input's paths; a store's keys are short.

    Raises:
        UsageError: No input is given, or a listed path lies outside ``input_video_path``.
        NotFoundError: A listed file or the input itself is not there.
        StorageError: The input cannot be read.
    """
    if not config.input_video_path:
        raise UsageError("input_video_path is missing: give a folder of videos or one video file")
    uri = absolute(config.input_video_path)
    if not uri.isascii() and _as_text(uri) != uri:
        raise UsageError(f"input_video_path {_as_text(uri)} {_NOT_UTF8}")
    storage = storage_for(uri)
    # A single file is its own root's only entry: its id is made from its full path all the same.
    root = uri.rsplit("/", 1)[0] if storage.exists(uri) else uri
    id_root = absolute(config.id_root) if config.id_root else root
    collector = _Collector(root, id_root, _max_path_bytes(output))
    if config.input_video_list_json_path:
        for path in _listed_paths(config, root):
            stat = storage.stat(path)
            # A pipe would block whoever opens it.
            if storage.exists(path):
                collector.add(stat)
            else:
                collector.report(path, "is not a regular file")
    elif root != uri:
        collector.add(storage.stat(uri))
    else:
        for stat in storage.list(uri, on_problem=collector.report):
            collector.add(stat)
    collector.leave_out_collisions()
    videos = tuple(sorted(collector.videos, key=lambda video: video.rel))
    return Listing(videos, collector.num_sidecars, tuple(collector.problems))


def _listed_paths(config: VideoInput, root: str) -> list[str]:
    uri = absolute(str(config.input_video_list_json_path))
    paths = read_json(uri)
    if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
        raise UsageError(f"{uri}: must be a JSON array of paths")
    for path in paths:
        if "\0" in path or not _is_utf8(path):
            raise UsageError(f"{uri}: {shown(path)} is no path of a file")
    resolved = [path if scheme_of(path) else absolute(path) for path in paths]
    outside = [path for path in resolved if not is_inside(path, root) or path == root]
    if outside:
        raise UsageError(
            f"{uri}: {one_line(outside[0])} does not lie below input_video_path={root}"
        )
    return sorted(set(resolved))


def _is_sidecar(name: str) -> bool:
    lower = name.lower()
    suffix = "." + lower.rsplit(".", 1)[-1] if "." in lower else ""
    return suffix in SIDECAR_SUFFIXES or lower in SIDECAR_NAMES or lower.startswith("._")


def _record_owners(folder: str) -> set[str]:
    """Return the videos that would have a record at the place of this folder."""
    match = _RECORD.fullmatch(folder)
    return {folder.removesuffix(".json"), match.group(1)} if match else set()


def _max_path_bytes(output: str) -> int:
    if not scheme_of(output):
        return MAX_PATH_BYTES
    longest = join(bucket_and_key(output)[1], PROCESSED_CHUNKS, "_0000000.json")
    return MAX_KEY_BYTES - len(longest.encode())


def name_problem(rel: str, *, max_path_bytes: int = MAX_PATH_BYTES) -> str | None:
    """Return why a video of this relative path cannot be taken in; None: it can.

    Keys of stores may hold what no path below a folder can: its records would lie elsewhere.
    """
    odd = next((part for part in rel.split("/") if part in ("", ".", "..")), None)
    if odd is not None:
        return f"has {f'a part {odd!r}' if odd else 'an empty part'} in its path; rename it"
    if "\0" in rel:
        return "has a zero byte in its path; rename it"
    if not _is_utf8(rel):
        return _NOT_UTF8
    path = rel.encode()
    num_bytes = len(path.rsplit(b"/", 1)[-1])
    if num_bytes > MAX_NAME_BYTES:
        return f"has a name of {num_bytes} bytes; at most {MAX_NAME_BYTES} leave room for records"
    if len(path) > max_path_bytes:
        return f"has a path of {len(path)} bytes below the input; at most {max_path_bytes} fit"
    return None


def _is_utf8(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def _as_text(path: str) -> str:
    """Return a path as text that any file can hold; bytes that are no UTF-8 become escapes."""
    return path.encode("utf-8", "backslashreplace").decode()
