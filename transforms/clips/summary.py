"""``summary.json``: everything ever processed into an output (contract §1.16)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transforms.clips.score_counts import Distribution, add_distributions, score_summary
from transforms.clips.selections import all_selected_videos
from transforms.filters.score_limits import LUMA_FILTERS
from transforms.json_files import read_json, read_json_if_there, write_json
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

ChunkSums = dict[str, Any]
"""What the summary says about a video from its chunk records, and ``score_counts``, which it adds
up over all videos."""


def write_summary(
    root: str, this_run: dict[str, Any], sums: Mapping[str, ChunkSums] | None = None
) -> dict[str, Any]:
    """Write and return the summary; an earlier one is kept as ``summary.json.bakN``.

    Args as ``make_summary``.
    """
    summary = make_summary(root, this_run, sums)
    _back_up(summary_uri(root))
    write_json(summary_uri(root), summary)
    return summary


def retire_summary(root: str) -> None:
    """Keep the summary as ``summary.json.bakN`` only: it no longer tells what lies there."""
    _back_up(summary_uri(root))
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
    videos, distributions = _videos(root, sums or {})
    totals = _totals(videos)
    for video in all_selected_videos(root):
        videos.setdefault(video.rel, {"source_video": video.uri, "processed": False})
    return {
        # Upstream keeps one key per video at the top; where a name collides, the later field wins
        # and the video stands under videos only.
        **videos,
        **totals,
        **_output_rate(totals["total_output_tokens"], this_run["pipeline_run_time"]),
        **({"scores": score_summary(distributions)} if distributions else {}),
        "num_input_videos": this_run["num_input_videos"],
        "num_input_videos_selected": this_run["num_input_videos_selected"],
        "pipeline_run_time": this_run["pipeline_run_time"],
        "embedding_algorithm": this_run["embedding_algorithm"],
        "resolved": this_run["resolved"],
        "videos": videos,
        "schema_version": SCHEMA_VERSION,
    }


def _videos(
    root: str, sums: Mapping[str, ChunkSums]
) -> tuple[dict[str, dict[str, Any]], dict[str, Distribution]]:
    """Return what the summary says of each video, and the distributions over all of them."""
    folder = join(root, PROCESSED_VIDEOS)
    videos: dict[str, dict[str, Any]] = {}
    distributions: dict[str, Distribution] = {}
    for stat in storage_for(root).list(folder):
        rel = relative(stat.uri, folder).removesuffix(".json")
        record = read_json(stat.uri)
        videos[rel] = {
            "source_video": record["video"],
            "video_uuid": record["video_uuid"],
            "num_total_clips": record["num_total_clips"],
            "duration": record["duration"],
            "num_bytes": record["num_bytes"],
            **(sums.get(rel) or sum_up(_chunks(root, rel, record["num_clip_chunks"]))),
        }
        counts = videos[rel].pop("score_counts")
        distributions = add_distributions([distributions, counts])
    return videos, distributions


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


def _output_rate(num_tokens: int, minutes: float) -> dict[str, float]:
    # As upstream: left out where it is 0.
    rate = round(num_tokens / (minutes * 60), 1) if minutes > 0 else 0.0
    return {"output_tokens_per_s": rate} if rate else {}


def _totals(videos: dict[str, dict[str, Any]]) -> dict[str, Any]:
    done = [video for video in videos.values() if video.get("processed", True)]
    return {
        "num_processed_videos": len(done),
        "total_video_duration": sum((video["duration"] for video in done), 0.0),
        "total_clip_duration": sum((video["total_clip_duration"] for video in done), 0.0),
        "max_clip_duration": max((video["max_clip_duration"] for video in done), default=0.0),
        "total_video_bytes": sum(video["num_bytes"] for video in done),
        "num_remuxed_videos": 0,
        "total_prompt_tokens": sum(video["total_prompt_tokens"] for video in done),
        "total_output_tokens": sum(video["total_output_tokens"] for video in done),
        "total_num_clips_failed": sum(len(video["failed_clips"]) for video in done),
        **{f"total_{name}": sum(video[name] for video in done) for name in CLIP_COUNTERS},
        **{f"total_{name}": count for name, count in _own_counters(done).items()},
    }


def _own_counters(parts: list[dict[str, Any]]) -> dict[str, int]:
    sums = {name: sum(part.get(name, 0) for part in parts) for name in OWN_COUNTERS}
    return {name: count for name, count in sums.items() if count}


def _back_up(uri: str) -> None:
    storage = storage_for(uri)
    if not storage.exists(uri):
        return
    number = 1
    while not storage.create_if_absent(f"{uri}.bak{number}", storage.read(uri)):
        number += 1
