"""``summary.json``: everything ever processed into an output (contract §1.16)."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from transforms.clips.score_counts import Distribution, add_distributions, score_summary
from transforms.clips.selections import Selected, all_selected_videos, iter_selected_videos
from transforms.clips.summary_entries import summary_entries
from transforms.filters.score_limits import LUMA_FILTERS
from transforms.json_files import read_json, read_json_if_there
from transforms.layout import (
    PROCESSED_VIDEOS,
    chunk_record_uri,
    summary_uri,
)
from transforms.run_context import SCHEMA_VERSION
from transforms.storage.open_storage import storage_for
from transforms.storage.uris import join, relative

CLIP_COUNTERS = (
    "num_clips_filtered_by_motion",
    "num_clips_filtered_by_aesthetic",
    "num_clips_filtered_by_qwen_classifier",
    "num_clips_filtered_by_qwen_semantic",
    "num_clips_filtered_by_artificial_text",
    "num_clips_passed",
    "num_clips_transcoded",
    "num_clips_with_embeddings",
    "num_clips_with_caption",
    "num_clips_with_webp",
)
OWN_COUNTERS = tuple(f"num_clips_filtered_by_{name}" for name in LUMA_FILTERS)
"""Ours, left out where they are 0."""

_SUMMED = ("num_bytes", "total_prompt_tokens", "total_output_tokens", *CLIP_COUNTERS)

Distributions = dict[str, Distribution]
ChunkSums = dict[str, Any]
"""What the summary says about a video from its chunk records, and ``score_counts``, which it adds
up over all videos."""


def write_summary(
    root: str,
    this_run: dict[str, Any],
    sums: Mapping[str, ChunkSums] | None = None,
    *,
    scratch: Path,
) -> dict[str, Any]:
    """Write the summary; an earlier one is kept as ``summary.json.bakN``.

    However many videos there are, the entry of one is held at a time.

    Args as ``make_summary``, and:
        scratch: Local folder for the file in work.

    Returns:
        What the summary says beside the videos.
    """
    with summary_entries(scratch) as entries:
        totals = _Totals()
        for rel, entry, counts in _videos(root, sums or {}):
            entries.add(rel, entry)
            totals.add(entry, counts)
        of_processed = entries.num_bytes
        for video in iter_selected_videos(root):
            if not entries.is_within(video.rel, of_processed):
                entries.add(video.rel, _unprocessed(video))
        fields = _fields(totals, this_run)
        path = scratch / "summary.json"
        with path.open("w", encoding="utf-8") as file:
            entries.write(file, fields)
    try:
        _back_up(summary_uri(root), scratch)
        storage_for(root).write(summary_uri(root), path)
    finally:
        path.unlink()
    return fields


def retire_summary(root: str, scratch: Path) -> None:
    """Keep the summary as ``summary.json.bakN`` only: it no longer tells what lies there."""
    _back_up(summary_uri(root), scratch)
    storage_for(root).delete(summary_uri(root))


def run_fields(run: dict[str, Any], minutes: float) -> dict[str, Any]:
    """Return what the summary takes from a run's selection and how long the run took."""
    return {
        "num_input_videos": run["num_input_videos"],
        "num_input_videos_selected": len(run["videos"]),
        "pipeline_run_time": minutes,
    }


def make_summary(
    root: str, this_run: dict[str, Any], sums: Mapping[str, ChunkSums] | None = None
) -> dict[str, Any]:
    """Return the summary of what lies in an output, from its records.

    Args:
        root: Output root.
        this_run: Fields that concern the last run only: those of ``run_fields``, and
            embedding_algorithm and resolved.
        sums: Of videos whose chunk records were read already, by relative path.
    """
    videos: dict[str, dict[str, Any]] = {}
    totals = _Totals()
    for rel, entry, counts in _videos(root, sums or {}):
        videos[rel] = entry
        totals.add(entry, counts)
    for video in all_selected_videos(root):
        videos.setdefault(video.rel, _unprocessed(video))
    # Upstream keeps one key per video at the top; where a name collides, the later field wins
    # and the video stands under videos only.
    return {**videos, **_fields(totals, this_run), "videos": videos}


def _fields(totals: _Totals, this_run: dict[str, Any]) -> dict[str, Any]:
    """Return what stands beside the videos."""
    sums = totals.fields()
    return {
        **sums,
        **_output_rate(sums["total_output_tokens"], this_run["pipeline_run_time"]),
        "num_input_videos": this_run["num_input_videos"],
        "num_input_videos_selected": this_run["num_input_videos_selected"],
        "pipeline_run_time": this_run["pipeline_run_time"],
        "embedding_algorithm": this_run["embedding_algorithm"],
        "resolved": this_run["resolved"],
        "schema_version": SCHEMA_VERSION,
    }


def _unprocessed(video: Selected) -> dict[str, Any]:
    return {"source_video": video.uri, "processed": False}


def _videos(
    root: str, sums: Mapping[str, ChunkSums]
) -> Iterator[tuple[str, dict[str, Any], Distributions]]:
    """Yield relative path and entry of each video that has a record, and how its clips scored."""
    folder = join(root, PROCESSED_VIDEOS)
    for stat in storage_for(root).list(folder):
        rel = relative(stat.uri, folder).removesuffix(".json")
        record = read_json(stat.uri)
        entry = {
            "source_video": record["video"],
            "video_uuid": record["video_uuid"],
            "num_total_clips": record["num_total_clips"],
            "duration": record["duration"],
            "num_bytes": record["num_bytes"],
            **(sums.get(rel) or sum_up(_chunks(root, rel, record["num_clip_chunks"]))),
        }
        counts = entry.pop("score_counts")
        yield rel, entry, counts


def _chunks(root: str, rel: str, num_chunks: int) -> list[dict[str, Any]]:
    return [
        chunk
        for index in range(num_chunks)
        if (chunk := read_json_if_there(chunk_record_uri(root, rel, index))) is not None
    ]


def sum_up(chunks: list[dict[str, Any]]) -> ChunkSums:
    """Return what the summary says about a video from these chunk records of it."""
    return {
        "num_clip_chunks": len(chunks),
        "clips": [clip for chunk in chunks for clip in chunk["clips"]],
        "filtered_clips": [clip for chunk in chunks for clip in chunk["filtered_clips"]],
        "failed_clips": [clip for chunk in chunks for clip in chunk["failed_clips"]],
        **{name: sum(chunk[name] for chunk in chunks) for name in CLIP_COUNTERS},
        **_own_counters(chunks),
        "total_clip_duration": sum((chunk["total_clip_duration"] for chunk in chunks), 0.0),
        "max_clip_duration": max((chunk["max_clip_duration"] for chunk in chunks), default=0.0),
        "total_prompt_tokens": sum(chunk["total_prompt_tokens"] for chunk in chunks),
        "total_output_tokens": sum(chunk["total_output_tokens"] for chunk in chunks),
        "score_counts": add_distributions(chunk.get("score_counts", {}) for chunk in chunks),
    }


class _Totals:
    """Sums over all videos, of which none is kept."""

    def __init__(self) -> None:
        self._num_videos = 0
        self._sums = Counter[str]()
        # Added up at the end by one sum(), which is more exact than one after the other.
        self._seconds = {name: array("d") for name in ("duration", "total_clip_duration")}
        self._longest = 0.0
        self._scores: Distributions = {}

    def add(self, entry: dict[str, Any], counts: Distributions) -> None:
        """Add a video that has a record."""
        self._num_videos += 1
        self._sums.update({name: entry.get(name, 0) for name in (*_SUMMED, *OWN_COUNTERS)})
        self._sums["failed"] += len(entry["failed_clips"])
        for name, seconds in self._seconds.items():
            seconds.append(entry[name])
        self._longest = max(self._longest, entry["max_clip_duration"])
        self._scores = add_distributions([self._scores, counts])

    def fields(self) -> dict[str, Any]:
        """Return what the summary says of them."""
        own = {name: self._sums[name] for name in OWN_COUNTERS if self._sums[name]}
        return {
            "num_processed_videos": self._num_videos,
            "total_video_duration": sum(self._seconds["duration"], 0.0),
            "total_clip_duration": sum(self._seconds["total_clip_duration"], 0.0),
            "max_clip_duration": self._longest,
            "total_video_bytes": self._sums["num_bytes"],
            "num_remuxed_videos": 0,
            "total_prompt_tokens": self._sums["total_prompt_tokens"],
            "total_output_tokens": self._sums["total_output_tokens"],
            "total_num_clips_failed": self._sums["failed"],
            **{f"total_{name}": self._sums[name] for name in CLIP_COUNTERS},
            **{f"total_{name}": count for name, count in own.items()},
            **({"scores": score_summary(self._scores)} if self._scores else {}),
        }


def _output_rate(num_tokens: int, minutes: float) -> dict[str, float]:
    # As upstream: left out where it is 0.
    rate = round(num_tokens / (minutes * 60), 1) if minutes > 0 else 0.0
    return {"output_tokens_per_s": rate} if rate else {}


def _own_counters(parts: list[dict[str, Any]]) -> dict[str, int]:
    sums = {name: sum(part.get(name, 0) for part in parts) for name in OWN_COUNTERS}
    return {name: count for name, count in sums.items() if count}


def _back_up(uri: str, scratch: Path) -> None:
    storage = storage_for(uri)
    if not storage.exists(uri):
        return
    scratch.mkdir(parents=True, exist_ok=True)
    with storage.local_file(uri, scratch) as path:
        number = 1
        while not storage.create_if_absent(f"{uri}.bak{number}", path):
            number += 1
