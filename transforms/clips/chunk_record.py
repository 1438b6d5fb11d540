"""The record of a chunk, ``processed_clip_chunks/{rel}_{i}.json`` (contract §1.16)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from transforms.clips.caption_counts import caption_counts, window_captions, window_enhanced
from transforms.clips.clip_state import KEPT_ONLY_STAGES
from transforms.clips.plan import Plan
from transforms.clips.score_counts import count_scores
from transforms.filters.score_limits import LUMA_FILTERS
from transforms.records import Failure
from transforms.run_context import SCHEMA_VERSION, RunContext


def chunk_record(
    plan: Plan,
    chunk_index: int,
    *,
    metas: Sequence[dict[str, Any]],
    failures: dict[str, Failure],
    context: RunContext,
    truncated: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Any]:
    """Return the record of a finished chunk: upstream's fields, then ours.

    Args:
        plan: The video's plan.
        chunk_index: Which chunk.
        metas: Metadata of its committed clips, in any order.
        failures: Failed clips by id.
        context: The run.
        truncated: Clips without frames because the source breaks off before them, and why.

    Clips that are in neither are listed as ``no_frames``.
    """
    planned = [span.clip_id for span in plan.chunk_spans(chunk_index)]
    by_id = {meta["span_uuid"]: meta for meta in metas}
    committed = [by_id[clip_id] for clip_id in planned if clip_id in by_id]
    return {
        "video": plan.video.uri,
        "clip_chunk_index": chunk_index,
        **_rejection_counts(committed),
        "num_clips_transcoded": len(committed),
        **_kept_clips([meta for meta in committed if "rejection" not in meta]),
        **_sums(committed),
        "filtered_clips": [meta["span_uuid"] for meta in committed if "rejection" in meta],
        **_failed_clips(failures),
        "no_frames": [one for one in planned if one not in by_id and one not in failures],
        **_source_truncated(truncated),
        **_score_counts(committed),
        "stages": _common_stages(committed, context),
        "schema_version": SCHEMA_VERSION,
    }


def _kept_clips(kept: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {
        "num_clips_passed": len(kept),
        "clips": [meta["span_uuid"] for meta in kept],
        "num_clips_with_embeddings": sum("embedding" in meta for meta in kept),
        "num_clips_with_caption": sum(meta["has_caption"] for meta in kept),
        "num_clips_with_webp": sum(bool(meta.get("previews")) for meta in kept),
        "all_windows": window_captions(kept),
        "all_windows_enhanced_caption": window_enhanced(kept),
        **caption_counts(kept),
    }


def _sums(committed: Sequence[dict[str, Any]]) -> dict[str, float]:
    durations = [meta["duration_span"][1] - meta["duration_span"][0] for meta in committed]
    return {
        "total_clip_duration": sum(durations, 0.0),
        "max_clip_duration": max(durations, default=0.0),
        "total_prompt_tokens": sum(meta["total_prompt_tokens"] for meta in committed),
        "total_output_tokens": sum(meta["total_output_tokens"] for meta in committed),
        "num_bytes": sum(meta["num_bytes"] for meta in committed),
    }


def _failed_clips(failures: Mapping[str, Failure]) -> dict[str, Any]:
    return {
        "num_clips_failed": len(failures),
        "failed_clips": [
            {"span_uuid": clip_id, "stage": failure.stage, "reason": failure.reason}
            for clip_id, failure in sorted(failures.items())
        ],
    }


def _source_truncated(truncated: Mapping[str, str]) -> dict[str, Any]:
    clips = [{"span_uuid": clip_id, "reason": why} for clip_id, why in sorted(truncated.items())]
    return {"source_truncated": clips} if clips else {}


def _rejection_counts(committed: Sequence[dict[str, Any]]) -> dict[str, int]:
    filters = [meta["rejection"]["filter"] for meta in committed if "rejection" in meta]
    names = ("motion", "aesthetic", "qwen_classifier", "qwen_semantic", "artificial_text")
    counts = {f"num_clips_filtered_by_{name}": filters.count(name) for name in names}
    # Ours are left out when nothing was rejected: upstream's records have none of them.
    ours = {f"num_clips_filtered_by_{name}": filters.count(name) for name in LUMA_FILTERS}
    return {**counts, **{name: count for name, count in ours.items() if count}}


def _score_counts(committed: Sequence[dict[str, Any]]) -> dict[str, Any]:
    counts = count_scores(committed)
    return {"score_counts": counts} if counts else {}


def _common_stages(committed: Sequence[dict[str, Any]], context: RunContext) -> dict[str, str]:
    """Return the stages that every clip of the chunk has, or never needs."""
    common = dict(context.stages)
    for meta in committed:
        done = set(meta["stages"]) | (KEPT_ONLY_STAGES if "rejection" in meta else set())
        common = {stage: value for stage, value in common.items() if stage in done}
    return common
