"""Check the JSON member of one sample against the plan, the commit and the clip's metadata."""

from __future__ import annotations

import json
from typing import Any

from transforms.annotate.windows import inclusive_window
from transforms.clips.clip_state import KEPT_ONLY_STAGES
from transforms.json_parsing import parse_json
from transforms.run_context import DECISION_STAGES
from transforms.shards.part_plans import PlannedSample
from transforms.shards.samples import sample_key

ADDED = frozenset(
    {"key", "start_frame", "end_frame", "sample_video", "reencoded_because", "caption"}
)
"""Fields of a sample beside those of the clip's metadata."""
_LATER = frozenset(
    {"stages", "motion_score", "motion_missing", "scores", "rejection", "previews", "windows"}
    | {"filtered_windows", "has_caption", "clip_location"}
    | {"total_prompt_tokens", "total_output_tokens", "num_caption_windows"}
    | {"caption_quality_flags_enabled", "errors"}
    | {"embedding", "embedding_missing", "embedding_message"}
)
"""Fields of the metadata that a stage turned on later changes; the shard keeps what it holds."""


def key_of(sample: PlannedSample) -> str:
    """Return the key of a planned sample."""
    clip_id, start, end, is_window = sample
    return sample_key(clip_id, start, end, is_window=is_window)


def read_sample(data: bytes) -> dict[str, Any] | None:
    """Return a JSON member's content, None when it is not as this program writes it."""
    try:
        content = parse_json(data)
        canonical = json.dumps(content, sort_keys=True, separators=(",", ":")).encode()
    except ValueError:
        return None
    return content if isinstance(content, dict) and canonical == data else None


def planned_problem(
    content: dict[str, Any], sample: PlannedSample, reencoded: dict[str, str]
) -> str | None:
    """Return what of a sample's own fields is not as plan and commit say, None if all is."""
    key = key_of(sample)
    _, start, end, is_window = sample
    first, last = inclusive_window((start, end))
    expected = {
        "key": key,
        "start_frame": first,
        "end_frame": last,
        "reencoded_because": reencoded.get(key),
        "sample_video": "clip",
    }
    if is_window:
        expected["sample_video"] = "packets" if key not in reencoded else "encode"
    return _different(expected, content, set(expected))


def metadata_problem(content: dict[str, Any], meta: dict[str, Any]) -> str | None:
    """Return what of a sample contradicts its clip's metadata, None if nothing does."""
    names = (content.keys() - ADDED) | meta.keys()
    if content.get("stages") == meta["stages"]:
        return _different(meta, content, names)
    stages = content.get("stages")
    # A clip that is turned down after all loses what only kept clips have; the shard keeps it.
    lost = KEPT_ONLY_STAGES if "rejection" in meta else frozenset()
    if not isinstance(stages, dict) or any(
        name not in lost | meta["stages"].keys()
        or (name not in lost | DECISION_STAGES and meta["stages"][name] != fingerprint)
        for name, fingerprint in stages.items()
    ):
        return "stages: not what the clip's metadata says"
    return _different(meta, content, names - _LATER)


def _different(expected: dict[str, Any], content: dict[str, Any], names: set[str]) -> str | None:
    wrong = sorted(name for name in names if _value(expected, name) != _value(content, name))
    return f"{', '.join(wrong)}: not what was expected" if wrong else None


def _value(content: dict[str, Any], name: str) -> Any:
    value = content.get(name)
    # An output may be moved, and clips of it made anew, after a shard was packed: what counts then
    # is the folder of the output that the clip lies in.
    return value.split("/")[-2:] if name == "clip_location" and isinstance(value, str) else value
