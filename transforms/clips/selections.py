"""Which videos were ever selected into an output."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from transforms.json_files import read_json
from transforms.layout import RUNS, current_run_uri, options_uri
from transforms.records import video_uuid
from transforms.storage.open_storage import storage_for
from transforms.storage.uris import join


class Selected(NamedTuple):
    """One selected video, as the record of a run lists it."""

    rel: str
    """Path relative to the input root."""
    source_id: str
    """What its ids are made from."""
    uri: str
    """Where it lay."""

    @property
    def video_uuid(self) -> str:
        """Upstream's id of the video."""
        return video_uuid(self.source_id)


def selected_videos(run: dict[str, Any]) -> list[Selected]:
    """Return the selection that a run's record, finished or not, lists."""
    return [Selected(*fields) for fields in run["videos"]]


def all_selected_videos(root: str) -> list[Selected]:
    """Return every video of every run, finished or not, sorted by relative path."""
    found = {video.rel: video for video in iter_selected_videos(root)}
    return [found[rel] for rel in sorted(found)]


def iter_selected_videos(root: str) -> Iterator[Selected]:
    """Yield the videos of every run, one run in memory at a time; what two selected comes twice."""
    for stat in storage_for(root).list(join(root, RUNS)):
        if stat.uri != options_uri(root):
            yield from selected_videos(read_json(stat.uri))


def last_finished_run(root: str) -> dict[str, Any] | None:
    """Return the record of the run that ended last, None when none has ended."""
    others = {options_uri(root), current_run_uri(root)}
    uris = [stat.uri for stat in storage_for(root).list(join(root, RUNS)) if stat.uri not in others]
    # Numbers have four digits, and more only behind 9999.
    last = max(uris, key=lambda uri: (len(uri), uri), default=None)
    record: dict[str, Any] | None = None if last is None else read_json(last)
    return record
