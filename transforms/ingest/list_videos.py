"""List the inputs: a folder, one file, or a JSON list of paths."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import ClassVar

from transforms.errors import UsageError
from transforms.json_files import read_json
from transforms.layout import PROCESSED_CHUNKS
from transforms.records import Video
from transforms.section import Section, option
from transforms.storage.ahead import read_ahead
from transforms.storage.interface import ObjectStat, Storage
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
    """Most videos to select, 0 = all; videos already done do not count. Of ``recaption``: most
    clips, those with the smallest ids; clips already done count."""

    def anywhere(self) -> VideoInput:
        """Return the same input by paths that do not depend on the folder a process works in."""
        names = ("input_video_path", "input_video_list_json_path", "id_root")
        given = {name: getattr(self, name) for name in names}
        return self.model_copy(
            update={name: absolute(path) for name, path in given.items() if path is not None}
        )


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
class InputNotes:
    """What a listing leaves out, filled while it goes on."""

    num_sidecars: int = 0
    """Files left out because their ending says that they are no videos."""
    problems: list[tuple[str, str]] = field(default_factory=list)
    """(path, reason) of what could not be entered or is no regular file."""

    def report(self, uri: str, reason: str) -> None:
        """Note what is left out, and why."""
        self.problems.append((_as_text(uri), reason))


def list_videos(config: VideoInput, output: str = "") -> Listing:
    """Return every input that is worth a try, and what was left out and why.

    Args:
        config: The input.
        output: Root below which records mirror the input's paths; a store's keys are short.

    Raises:
        As ``iter_videos``.
    """
    notes = InputNotes()
    videos = tuple(iter_videos(config, notes, output))
    return Listing(videos, notes.num_sidecars, tuple(notes.problems))


def iter_videos(config: VideoInput, notes: InputNotes, output: str = "") -> Iterator[Video]:
    """Yield every input that is worth a try, sorted by relative path, one at a time.

    Holds no more of a folder of a million videos than the storage's listing does.

    Args:
        config: Where the inputs are.
        notes: Gets what is left out.
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
    listed = None
    if config.input_video_list_json_path:
        listed = _listed_paths(config, root)
        stats = _stats(listed, root, notes)
    elif root != uri:
        stats = iter([storage.stat(uri)])
    else:
        stats = storage.list(uri, on_problem=notes.report)
    id_root = absolute(config.id_root) if config.id_root else root
    problem_of = functools.partial(name_problem, max_path_bytes=_max_path_bytes(output))
    is_input = _is_input(storage, root, listed, problem_of)
    for stat in stats:
        rel = relative(stat.uri, root)
        if _is_sidecar(rel.rsplit("/", 1)[-1]):
            notes.num_sidecars += 1
        elif problem := problem_of(rel) or _collision(rel, is_input):
            notes.report(stat.uri, problem)
        else:
            source_id = join(id_root, rel)
            yield Video(uri=stat.uri, rel=rel, source_id=source_id, num_bytes=stat.num_bytes)


def _stats(paths: list[str], root: str, notes: InputNotes) -> Iterator[ObjectStat]:
    storage = storage_for(root)
    for path, stat in zip(paths, read_ahead(storage.stat, paths, root), strict=True):
        # A pipe would block whoever opens it. Stores have none, and would be asked once more.
        if scheme_of(path) or storage.exists(path):
            yield stat
        else:
            notes.report(path, "is not a regular file")


def _is_input(
    storage: Storage,
    root: str,
    listed: list[str] | None,
    problem_of: Callable[[str], str | None],
) -> Callable[[str], bool]:
    """Return what tells whether a relative path is that of an input."""
    names = None if listed is None else frozenset(listed)

    def is_input(rel: str) -> bool:
        uri = join(root, rel)
        if _is_sidecar(rel.rsplit("/", 1)[-1]) or problem_of(rel):
            return False
        return (names is None or uri in names) and storage.exists(uri)

    return is_input


def _collision(rel: str, is_input: Callable[[str], bool]) -> str | None:
    """Return what is wrong with a video in a folder that is named like another video's record.

    The records' folders mirror the input: a file cannot stand where a folder must.
    """
    folders = rel.split("/")[:-1]
    for depth in range(len(folders)):
        folder = "/".join(folders[: depth + 1])
        if any(is_input(owner) for owner in _record_owners(folder)):
            reason = f"lies in {folder}, which is named like a record of another video"
            return f"{reason}; rename that folder"
    return None


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
