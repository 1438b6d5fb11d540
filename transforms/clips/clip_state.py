"""What is already there of a planned clip, told from its commit."""

from __future__ import annotations

from typing import Any

from transforms.clips.layout import failure_uri, meta_uri
from transforms.json_files import read_json_if_there
from transforms.records import Clip, Failure
from transforms.run_context import RunContext

CLIP_STAGES = ("cut", "look", "write")
"""Stages in which a single clip fails."""
LOOK_STAGES = frozenset({"motion_score", "previews"})
"""Stages that need the clip's frames; the others only need its scores."""
KEPT_ONLY_STAGES = frozenset({"previews"})
"""Stages behind the filters: a rejected clip is never pending for them."""


def missing_stages(context: RunContext, meta: dict[str, Any]) -> set[str]:
    """Return the active stages that a committed clip lacks."""
    missing = context.missing_stages(meta.get("stages", {}))
    return missing - KEPT_ONLY_STAGES if "rejection" in meta else missing


def read_clip_state(clip: Clip, context: RunContext) -> Clip:
    """Return the clip with what its commit or failure file says; unchanged when there is neither.

    The outcome becomes ``committed`` when nothing is missing, ``failed`` when it failed before;
    otherwise it stays ``pending``, with ``redone`` set when only a later stage is missing.
    """
    meta = read_json_if_there(meta_uri(context.root, clip.clip_id))
    if meta is not None:
        return _committed(clip, meta, context)
    for stage in CLIP_STAGES:
        failure = read_json_if_there(failure_uri(context.root, stage, clip.clip_id))
        if failure is not None:
            return clip.failed(Failure(stage, failure["reason"], failure["message"]))
    return clip


def _committed(clip: Clip, meta: dict[str, Any], context: RunContext) -> Clip:
    if not missing_stages(context, meta):
        return clip.updated(outcome="committed")
    motion = meta.get("motion_score", {})
    scores = tuple((f"motion_{name}", float(value)) for name, value in sorted(motion.items()))
    return clip.updated(redone=True, scores=scores)


def needs_look(clip: Clip, context: RunContext) -> bool:
    """Return whether a committed clip must be decoded again for a stage turned on later."""
    meta = read_json_if_there(meta_uri(context.root, clip.clip_id))
    return meta is not None and bool(missing_stages(context, meta) & LOOK_STAGES)
