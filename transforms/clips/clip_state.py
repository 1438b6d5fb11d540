"""What is already there of a planned clip, told from its commit."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from transforms.clips.score_fields import stored_scores
from transforms.clips.stored_clip import has_stated_size, is_intact
from transforms.filters.score_limits import LUMA_FILTERS
from transforms.json_files import read_json_if_there
from transforms.layout import failure_uri, meta_uri
from transforms.records import Clip, Failure, Rejection, Window
from transforms.run_context import DECISION_STAGES, RunContext

_logger = logging.getLogger(__name__)

CLIP_STAGES = ("cut", "look")
"""Stages in which a single clip fails."""
LOOK_STAGES = frozenset(
    {
        "motion_score",
        "previews",
        "embeddings",
        "captions",
        *(f"{name}_score" for name in LUMA_FILTERS),
    }
)
"""Stages that need the clip's frames; the others only need its scores."""
KEPT_ONLY_STAGES = frozenset({"previews", "embeddings", "captions", "predict_dataset"})
"""Stages behind the filters: a rejected clip is never pending for them."""


def missing_stages(context: RunContext, meta: dict[str, Any]) -> set[str]:
    """Return the active stages that a committed clip lacks."""
    missing = context.missing_stages(meta.get("stages", {}))
    # A clip about to be decided again may be kept this time.
    stays_rejected = "rejection" in meta and not missing & DECISION_STAGES
    return missing - KEPT_ONLY_STAGES if stays_rejected else missing


@dataclass(frozen=True)
class ClipState:
    """What is there of a planned clip."""

    clip: Clip
    """With what its commit or failure file says."""
    look_again: dict[str, Any] | None = None
    """Metadata of a committed clip that must be decoded again for a stage turned on later."""

    @property
    def needs_child(self) -> bool:
        """Whether the clip must be cut, or looked at again."""
        cut = self.clip.outcome == "pending" and not self.clip.redone
        return cut or self.look_again is not None


def has_committed(meta: dict[str, Any] | None, context: RunContext) -> bool:
    """Return whether a clip with this metadata is there, whole, and lacks no active stage."""
    if meta is None or missing_stages(context, meta):
        return False
    return is_intact(meta, context.root)


def read_clip_state(clip: Clip, context: RunContext, *, has_record: bool) -> ClipState:
    """Return the clip with what its commit or failure file says; unchanged when there is neither.

    The outcome becomes ``committed`` when nothing is missing, ``failed`` when it failed before;
    otherwise it stays ``pending``, with ``redone`` set when only a later stage is missing. A commit
    whose mp4 is not what its metadata says counts as none: the clip is cut again, and the new
    commit replaces it.

    Args:
        clip: A planned clip.
        context: The run.
        has_record: Whether the clip's chunk has a record: then all writers of it had finished, and
            an mp4 that nobody will look at is only asked for its size.
    """
    meta = read_json_if_there(meta_uri(context.root, clip.clip_id))
    missing = set() if meta is None else missing_stages(context, meta)
    if meta is not None and not _is_trusted(meta, context, by_size=has_record, missing=missing):
        _logger.warning(
            "clip %s: its mp4 in %s is not the one that its metadata describes; it is made again",
            clip.clip_id,
            context.root,
        )
        meta = None
    if meta is not None and not missing:
        return ClipState(clip.updated(outcome="committed"))
    failure = read_clip_failure(clip.clip_id, context)
    if failure is not None:
        return ClipState(clip.failed(failure))
    if meta is None:
        return ClipState(clip)
    return ClipState(_redone(clip, meta, missing), meta if missing & LOOK_STAGES else None)


def _is_trusted(
    meta: dict[str, Any], context: RunContext, *, by_size: bool, missing: set[str]
) -> bool:
    # What is about to be looked at is read whole anyway.
    if by_size and not missing & LOOK_STAGES:
        return has_stated_size(meta, context.root)
    return is_intact(meta, context.root)


def read_clip_failure(clip_id: str, context: RunContext) -> Failure | None:
    """Return what the clip's failure file says, None when there is none."""
    for stage in CLIP_STAGES:
        content = read_json_if_there(failure_uri(context.root, stage, clip_id))
        if content is not None:
            return Failure(stage, content["reason"], content["message"])
    return None


def stored_windows(meta: dict[str, Any]) -> tuple[Window, ...]:
    """Return the caption windows of a committed clip; metadata states their last frame."""
    return tuple(
        Window(window["start_frame"], window["end_frame"] + 1, window["num_bytes"])
        for window in meta["windows"]
    )


def _redone(clip: Clip, meta: dict[str, Any], missing: set[str]) -> Clip:
    clip = clip.updated(redone=True, scores=stored_scores(meta), done=tuple(meta.get("stages", ())))
    if "rejection" in meta and not missing & DECISION_STAGES:
        # Nobody decides anew: models behind the filters must not be asked about it.
        return clip.rejected(Rejection(**meta["rejection"]))
    return clip
