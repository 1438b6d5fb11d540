"""The entries of many videos, on disk until all are known, and then written in order."""

from __future__ import annotations

import contextlib
import heapq
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

_INDENT = "    "
_VIDEOS = "videos"


class SummaryEntries:
    """Holds some 200 bytes in memory per video, however many clips its entry lists.

    Args:
        path: A file to be made; gone when :meth:`close` was called.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("w+b")
        self._places: dict[str, int] = {}
        self._end = 0

    @property
    def num_bytes(self) -> int:
        """Of all that was added so far."""
        return self._end

    def is_within(self, rel: str, num_bytes: int) -> bool:
        """Return whether a video's entry was there when there were so many bytes."""
        return self._places.get(rel, num_bytes) < num_bytes

    def add(self, rel: str, entry: Mapping[str, Any]) -> None:
        """Keep the entry of a video; an earlier one of the same video is forgotten."""
        # JSON has no such character but where lines end.
        line = _json(entry).replace("\n", "\r").encode() + b"\n"
        self._places[rel] = self._end
        self._file.write(line)
        self._end += len(line)

    def write(self, file: IO[str], fields: Mapping[str, Any]) -> None:
        """Write a summary: the bytes that ``json_bytes`` makes of all of it.

        Args:
            file: Receives it.
            fields: What stands beside the videos. Where a name collides, the field wins, and the
                video stands under ``videos`` only.
        """
        rels = sorted(self._places)
        at_top = (rel for rel in rels if rel not in fields and rel != _VIDEOS)
        separator = "{\n"
        for name in heapq.merge(sorted({*fields, _VIDEOS}), at_top):
            file.write(f"{separator}{_INDENT}{json.dumps(name)}: ")
            separator = ",\n"
            if name == _VIDEOS:
                self._write_videos(file, rels)
            elif name in fields:
                file.write(_json(fields[name]).replace("\n", "\n" + _INDENT))
            else:
                file.write(self._entry(name, depth=1))
        file.write("\n}\n")

    def close(self) -> None:
        """Remove the file."""
        self._file.close()
        self._path.unlink(missing_ok=True)

    def _write_videos(self, file: IO[str], rels: list[str]) -> None:
        if not rels:
            file.write("{}")
            return
        separator = "{\n"
        for rel in rels:
            file.write(f"{separator}{_INDENT * 2}{json.dumps(rel)}: {self._entry(rel, depth=2)}")
            separator = ",\n"
        file.write(f"\n{_INDENT}}}")

    def _entry(self, rel: str, *, depth: int) -> str:
        self._file.seek(self._places[rel])
        line = self._file.readline().decode().removesuffix("\n")
        return line.replace("\r", "\n" + _INDENT * depth)


@contextlib.contextmanager
def summary_entries(scratch: Path) -> Iterator[SummaryEntries]:
    """Open an empty collection in a scratch folder, which is made if absent."""
    scratch.mkdir(parents=True, exist_ok=True)
    with contextlib.closing(SummaryEntries(scratch / "summary-entries")) as entries:
        yield entries


def _json(value: Any) -> str:
    return json.dumps(value, indent=4, sort_keys=True, allow_nan=False)
