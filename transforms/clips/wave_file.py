"""``.work/wave.json``: the videos of the wave in work, for the workers of its graph."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

from transforms.json_files import read_json_if_there, write_json
from transforms.layout import chunk_record_uri, video_record_uri, wave_uri
from transforms.records import Video
from transforms.run_context import SCHEMA_VERSION
from transforms.storage.open_storage import storage_for


def write_wave(root: str, videos: Sequence[Video]) -> None:
    """Store the videos that the next graph works on."""
    fields = [list(dataclasses.astuple(video)) for video in videos]
    write_json(wave_uri(root), {"schema_version": SCHEMA_VERSION, "videos": fields})


def read_wave(root: str) -> Iterator[Video]:
    """Yield the videos of the wave in work; none behind the last one."""
    content = read_json_if_there(wave_uri(root)) or {"videos": []}
    for uri, rel, source_id, num_bytes in content["videos"]:
        yield Video(uri, rel, source_id, num_bytes)


def remove_wave(root: str) -> None:
    """Remove the file; nothing happens if there is none."""
    storage_for(root).delete(wave_uri(root))


def clips_of_wave(root: str) -> Iterator[str]:
    """Yield the ids of the kept clips of the wave, from the records of its chunks."""
    for video in read_wave(root):
        for chunk in stored_chunks(root, video.rel):
            yield from chunk["clips"]


def stored_chunks(root: str, rel: str) -> Iterator[dict[str, Any]]:
    """Yield the chunk records of a video that are there."""
    record = read_json_if_there(video_record_uri(root, rel))
    for index in range(record["num_clip_chunks"] if record else 0):
        chunk = read_json_if_there(chunk_record_uri(root, rel, index))
        if chunk is not None:
            yield chunk
