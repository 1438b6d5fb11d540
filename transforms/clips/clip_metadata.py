"""The metadata of a clip, ``metas/v0/{uuid}.json`` (contract §1.16); the commit of the clip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from transforms.annotate.windows import inclusive_window
from transforms.clips.caption_fields import caption_fields
from transforms.clips.clip_state import KEPT_ONLY_STAGES
from transforms.clips.plan import Plan
from transforms.clips.score_fields import score_fields
from transforms.json_records import to_plain
from transforms.layout import clip_uri
from transforms.models.embeddings.algorithms import EMBEDDING_ERROR
from transforms.records import Clip, ClipFile, Window
from transforms.run_context import DECISION_STAGES, SCHEMA_VERSION, RunContext


def clip_metadata(clip: Clip, plan: Plan, context: RunContext) -> dict[str, Any]:
    """Return the metadata of a clip with a file: upstream's fields, then ours."""
    if clip.file is None:
        raise ValueError(f"clip {clip.clip_id} has no file")
    span, facts = plan.spans[clip.clip_index], plan.facts
    width, height = facts.display_size
    file = _file_fields(clip.file)
    return {
        "span_uuid": clip.clip_id,
        "source_video": plan.video.uri,
        "duration_span": [span.start_seconds, span.end_seconds],
        "width_source": width,
        "height_source": height,
        "framerate_source": float(facts.average_rate),
        "clip_location": clip_uri(context.root, clip.clip_id, rejected=clip.rejection is not None),
        **file,
        "source_id": plan.video.source_id,
        "source_time_base": to_plain(facts.time_base),
        "chunk_index": clip.chunk_index,
        "errors": _errors(dict(clip.notes)),
        "has_caption": False,
        "total_prompt_tokens": 0,
        "total_output_tokens": 0,
        "schema_version": SCHEMA_VERSION,
        **annotation_fields(clip, context),
        **caption_fields(clip, file["windows"], context),
    }


def annotation_fields(clip: Clip, context: RunContext) -> dict[str, Any]:
    """Return the fields that later stages add: scores, rejection, previews and stages."""
    fields: dict[str, Any] = {"stages": stage_map(clip, context)}
    fields.update(score_fields(clip.scores))
    fields.update(clip.notes)
    if clip.embedding is not None:
        fields["embedding"] = to_plain(clip.embedding)
    if clip.rejection is not None:
        fields["rejection"] = {
            "filter": clip.rejection.filter,
            "score": clip.rejection.score,
            "threshold": clip.rejection.threshold,
        }
    elif clip.preview_names:
        fields["previews"] = sorted(clip.preview_names)
    return fields


def stage_map(clip: Clip, context: RunContext) -> dict[str, str]:
    """Return stage to fingerprint for what was done; a rejected clip never sees later stages."""
    done = dict(context.stages)
    return done if clip.rejection is None else _without_kept_only(done)


def _without_kept_only(stages: dict[str, str]) -> dict[str, str]:
    return {stage: value for stage, value in stages.items() if stage not in KEPT_ONLY_STAGES}


def merged_metadata(
    committed: dict[str, Any], clip: Clip, plan: Plan, context: RunContext
) -> dict[str, Any]:
    """Return a committed clip's metadata with what a stage turned on later adds."""
    added = annotation_fields(clip, context)
    added.update(caption_fields(clip, _uncaptioned(committed.get("windows", [])), context))
    done = committed.get("stages", {})
    decided = context.missing_stages(done) & DECISION_STAGES
    # A fingerprint that stands stays: what it covers was not done again.
    kept = {stage: value for stage, value in done.items() if stage not in decided}
    merged = {**committed, **added, "stages": {**added["stages"], **kept}}
    if decided and clip.rejection is None:
        merged.pop("rejection", None)
    rejected = "rejection" in merged
    merged["clip_location"] = clip_uri(context.root, clip.clip_id, rejected=rejected)
    if rejected:
        # Should it be kept again one day, they are made again.
        for field in _KEPT_ONLY_FIELDS:
            merged.pop(field, None)
        merged["stages"] = _without_kept_only(merged["stages"])
    merged["errors"] = _errors(merged)
    return merged


def _uncaptioned(windows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return windows without what an earlier caption left: a clip that was turned down and is kept
    again is asked about anew."""
    return [{name: window[name] for name in _WINDOW_FIELDS} for window in windows]


_WINDOW_FIELDS = ("start_frame", "end_frame", "num_bytes")
_KEPT_ONLY_FIELDS = ("previews", "embedding", "embedding_missing", "embedding_message")


def _errors(fields: Mapping[str, Any]) -> list[str]:
    return [EMBEDDING_ERROR] if "embedding_missing" in fields else []


def _file_fields(file: ClipFile) -> dict[str, Any]:
    return {
        "width": file.width,
        "height": file.height,
        "framerate": file.framerate,
        "num_frames": file.num_frames,
        "video_codec": file.video_codec,
        "num_bytes": file.num_bytes,
        "sha256": file.sha256,
        "source_span_pts": list(file.source_span_pts),
        "made_by": file.made_by,
        **({"crop_box": list(file.crop_box)} if file.crop_box else {}),
        **_rate_fields(file),
        "windows": [_window_fields(window) for window in file.windows],
        "filtered_windows": [],
        "valid": bool(file.windows),
    }


def _rate_fields(file: ClipFile) -> dict[str, int]:
    if file.repeated_dropped is None:
        return {}
    repeated, dropped = file.repeated_dropped
    return {"frames_repeated": repeated, "frames_dropped": dropped}


def _window_fields(window: Window) -> dict[str, int]:
    start_frame, end_frame = inclusive_window((window.start_frame, window.end_frame))
    return {"start_frame": start_frame, "end_frame": end_frame, "num_bytes": window.num_bytes}
