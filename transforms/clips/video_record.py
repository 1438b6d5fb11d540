"""The record of a video, ``processed_videos/{rel}.json`` (contract §1.16)."""

from __future__ import annotations

from typing import Any

from transforms.clips.plan import Plan
from transforms.json_records import to_plain
from transforms.run_context import SCHEMA_VERSION


def video_record(plan: Plan) -> dict[str, Any]:
    """Return the record: upstream's fields, then ours."""
    facts, video = plan.facts, plan.video
    width, height = facts.display_size
    transitions = [list(extent) for extent in plan.transitions]
    return {
        **({"transitions": transitions} if transitions else {}),
        "video": video.uri,
        "height": height,
        "width": width,
        "framerate": float(facts.average_rate),
        "num_frames": facts.num_frames,
        "duration": facts.duration_seconds,
        "video_codec": facts.codec,
        "pixel_format": facts.pixel_format,
        "audio_format": facts.audio_codec or None,
        "num_total_clips": len(plan.spans),
        "num_clip_chunks": len(plan.chunks),
        "video_uuid": video.video_uuid,
        "schema_version": SCHEMA_VERSION,
        "source_id": video.source_id,
        "source_identity": plan.source_identity,
        "num_bytes": video.num_bytes,
        "rotation": facts.rotation_degrees,
        "sample_aspect_ratio": to_plain(facts.sample_aspect_ratio),
        "variable_frame_rate": facts.variable_frame_rate,
        "time_base": to_plain(facts.time_base),
        "first_pts": facts.first_pts,
        "uncovered": [list(item) for item in plan.uncovered],
        "notes": list(facts.notes),
    }
