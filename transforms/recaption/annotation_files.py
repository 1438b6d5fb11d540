"""Files about all captions of a version: its summary, the statistics, every text."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from transforms.clips.caption_counts import (
    added,
    caption_counts,
    no_windows,
    window_captions,
)
from transforms.clips.caption_files import write_captions_of_video
from transforms.json_files import json_bytes, read_json, read_json_if_there
from transforms.json_parsing import MAX_SMALL_JSON_BYTES
from transforms.layout import PROCESSED_VIDEOS, all_captions_uri, annotations_uri, meta_uri
from transforms.layout import summary_uri as output_summary_uri
from transforms.recaption.ledger import AnnotationLedger, failure_reasons
from transforms.recaption.list_clips import summary_uri
from transforms.run_context import SCHEMA_VERSION, RunContext
from transforms.shards.list_clip_records import LARGEST_SUMMARY
from transforms.storage.ahead import read_ahead
from transforms.storage.interface import NotFoundError
from transforms.storage.open_storage import storage_for
from transforms.storage.uris import join, relative

PIPELINE = "recaption"

Place = tuple[str, str, int, int]
"""Video, clip, and where its captions stand in the scratch file: first byte and their number."""


@dataclass
class AnnotationFiles:
    """What there is to be told of a version, made from its metadata."""

    summary: dict[str, Any]
    stats: dict[str, Any]
    captions: Path
    """``all_window_captions.json`` in scratch."""


@dataclass
class _Sums:
    stats: dict[str, Any] = field(default_factory=no_windows)
    num_captioned: int = 0
    """Clips with a caption."""
    num_windows: int = 0
    """Windows with a caption."""
    prompt_tokens: int = 0
    output_tokens: int = 0


def quality_uri(root: str, version: str) -> str:
    """Return the statistics of a version's captions."""
    return annotations_uri(root, version, "caption_quality_stats.json")


def make_annotation_files(
    root: str, version: str, algorithm: str, ledger: AnnotationLedger, scratch: Path
) -> AnnotationFiles:
    """Return summary, statistics and captions of a version, from its metadata.

    One clip's captions are in memory at a time, beside some hundred bytes for each clip.
    """
    sums = _Sums()
    scratch.mkdir(parents=True, exist_ok=True)
    target = scratch / "all_window_captions.json"
    texts = scratch / "captions.txt"
    with texts.open("wb") as file:
        places = []
        names = _names_of_videos(root)
        for meta in _metas(root, version, ledger):
            _add(sums, meta)
            video = str(meta.get("source_video", ""))
            data = json.dumps(window_captions([meta])).encode()
            places.append((names.get(video, video), meta["span_uuid"], file.tell(), len(data)))
            file.write(data)
    _write_captions(target, texts, sorted(places))
    texts.unlink()
    reasons = Counter(reason for reason, _ in failure_reasons(root, version, ledger.failed))
    return AnnotationFiles(
        summary={
            "schema_version": SCHEMA_VERSION,
            "pipeline": PIPELINE,
            "annotation_version": version,
            "captioning_algorithm": algorithm,
            "num_clips": ledger.num_planned,
            "num_clips_annotated": len(ledger.committed),
            "num_clips_failed": len(ledger.failed),
            "failed": dict(sorted(reasons.items())),
            "num_clips_with_caption": sums.num_captioned,
            "num_caption_windows": sums.num_windows,
            "total_prompt_tokens": sums.prompt_tokens,
            "total_output_tokens": sums.output_tokens,
        },
        stats={**sums.stats, "pipeline": PIPELINE, "schema_version": SCHEMA_VERSION},
        captions=target,
    )


def write_annotation_files(
    context: RunContext, ledger: AnnotationLedger, scratch: Path, *, all_captions: bool
) -> None:
    """Write what is told of a version, the summary last: it says that nothing is open."""
    root, version = context.root, context.annotation_version
    algorithm = context.captioning_algorithm
    files = make_annotation_files(root, version, algorithm, ledger, scratch)
    storage = storage_for(root)
    if all_captions:
        storage.write(all_captions_uri(root, version), files.captions)
    files.captions.unlink()
    storage.write(quality_uri(root, version), json_bytes(files.stats))
    storage.write(summary_uri(root, version), json_bytes(files.summary))


def _add(sums: _Sums, meta: dict[str, Any]) -> None:
    counts = caption_counts([meta])
    sums.stats = added(sums.stats, counts.get("caption_quality_stats", no_windows()))
    sums.num_captioned += bool(meta["has_caption"])
    sums.num_windows += counts.get("num_caption_windows", 0)
    sums.prompt_tokens += meta["total_prompt_tokens"]
    sums.output_tokens += meta["total_output_tokens"]


def _metas(root: str, version: str, ledger: AnnotationLedger) -> Iterator[dict[str, Any]]:
    def read(clip_id: str) -> dict[str, Any]:
        uri = meta_uri(root, clip_id, version)
        meta: dict[str, Any] = read_json(uri, max_bytes=MAX_SMALL_JSON_BYTES)
        return meta

    return read_ahead(read, ledger.committed, root)


def _write_captions(target: Path, texts: Path, places: list[Place]) -> None:
    with target.open("w", encoding="utf-8") as out, texts.open("rb") as file:
        separator = "{\n"
        for video, clips in groupby(places, key=lambda place: place[0]):
            captions: dict[str, dict[str, str]] = {}
            for _, _, start, length in clips:
                file.seek(start)
                captions.update(json.loads(file.read(length)))
            write_captions_of_video(out, separator, video, captions)
            separator = ",\n"
        out.write("{}\n" if separator.startswith("{") else "\n}\n")


def _names_of_videos(root: str) -> dict[str, str]:
    """Return where a source lay to its path below the input, as far as the output tells."""
    uri = output_summary_uri(root)
    storage = storage_for(root)
    try:
        is_short = storage.stat(uri).num_bytes <= LARGEST_SUMMARY
    except NotFoundError:
        is_short = False
    if is_short:
        summary = read_json_if_there(uri) or {}
        videos = {**summary, **_mapping(summary.get("videos"))}
        named = {rel: _mapping(video).get("source_video") for rel, video in videos.items()}
        return {source: rel for rel, source in named.items() if isinstance(source, str)}
    folder = join(root, PROCESSED_VIDEOS)
    return {
        read_json(stat.uri)["video"]: relative(stat.uri, folder).removesuffix(".json")
        for stat in storage.list(folder)
    }


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
