"""Files about all captions of an output (contract §1.16, Appendix A)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from transforms.clips.caption_counts import added, no_windows
from transforms.json_files import read_json, read_json_if_there, write_json
from transforms.layout import (
    PROCESSED_VIDEOS,
    all_captions_uri,
    caption_quality_uri,
    chunk_record_uri,
)
from transforms.run_context import SCHEMA_VERSION
from transforms.storage.open_storage import storage_for
from transforms.storage.uris import join, relative

PIPELINE = "split_video_pipeline"
"""What upstream calls ``split`` in the statistics."""


def write_caption_files(
    root: str, scratch: Path, *, all_captions: bool, quality_stats: bool = True
) -> None:
    """Write ``v0/all_window_captions.json`` and ``caption_quality_stats.json``, if asked for.

    One video is held at a time, however many there are.

    Args:
        root: Output root.
        scratch: Local folder for the file in work.
        all_captions: Whether the captions themselves are written.
        quality_stats: Whether the statistics are.
    """
    stats = no_windows()
    scratch.mkdir(parents=True, exist_ok=True)
    path = scratch / "all_window_captions.json"
    with path.open("w", encoding="utf-8") as file:
        separator = "{\n"
        for rel, records in _records(root):
            for record in records:
                stats = added(stats, record.get("caption_quality_stats", no_windows()))
            captions = {
                clip: texts for record in records for clip, texts in record["all_windows"].items()
            }
            write_captions_of_video(file, separator, rel, captions)
            separator = ",\n"
        file.write("{}\n" if separator.startswith("{") else "\n}\n")
    if all_captions:
        storage_for(root).write(all_captions_uri(root), path)
    path.unlink()
    if quality_stats:
        content = {**stats, "pipeline": PIPELINE, "schema_version": SCHEMA_VERSION}
        write_json(caption_quality_uri(root), content)


def _records(root: str) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yield (rel, chunk records) of every processed video, sorted by rel."""
    folder = join(root, PROCESSED_VIDEOS)
    for stat in storage_for(root).list(folder):
        rel = relative(stat.uri, folder).removesuffix(".json")
        num_chunks = read_json(stat.uri)["num_clip_chunks"]
        chunks = (read_json_if_there(chunk_record_uri(root, rel, n)) for n in range(num_chunks))
        yield rel, [chunk for chunk in chunks if chunk is not None]


def write_captions_of_video(
    file: IO[str], separator: str, rel: str, captions: dict[str, dict[str, str]]
) -> None:
    """Add the captions of one video, by clip and window, to the file with all captions."""
    text = json.dumps(captions, indent=4, sort_keys=True)
    indented = text.replace("\n", "\n    ")
    file.write(f"{separator}    {json.dumps(rel)}: {indented}")
