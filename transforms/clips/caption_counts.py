"""What chunk records and the caption statistics say about captions, from the clips' metadata."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, get_args

from transforms.annotate.caption_quality import OWN_FLAGS
from transforms.models.captions.engine import CAPTIONED
from transforms.records import CaptionReason, CaptionStatus

STATUSES, REASONS = get_args(CaptionStatus), get_args(CaptionReason)
FLAGS = ("flag_length_outlier", "flag_repetition", "flag_near_duplicate")
_ENHANCED = "_enhanced_caption"
SENTINEL = "unknown caption"
"""Upstream's text for a caption that failed."""

Counts = dict[str, Any]


def window_captions(metas: Sequence[dict[str, Any]]) -> dict[str, dict[str, str]]:
    """Return clip to window (``first_last``, inclusive) to caption, where there are captions."""
    return _by_clip(metas, caption_text)


def window_enhanced(metas: Sequence[dict[str, Any]]) -> dict[str, dict[str, str]]:
    """Return the same of rewritten captions."""
    return _by_clip(metas, _enhanced)


def caption_text(window: dict[str, Any], *, prefer_enhanced: bool = False) -> str:
    """Return a window's caption; its field is named after whoever wrote it.

    Args:
        window: Of a clip's metadata.
        prefer_enhanced: Whether the rewritten caption is taken where there is one.
    """
    if prefer_enhanced and (enhanced := _enhanced(window)):
        return enhanced
    return next(
        (
            text
            for name, text in window.items()
            if name.endswith("_caption") and not name.endswith(_ENHANCED)
        ),
        "",
    )


def caption_counts(metas: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return what a chunk record says in numbers; nothing when no window was asked about."""
    windows = [window for meta in metas for window in _asked(meta)]
    if not windows:
        return {}
    captioned = sum(window["caption_status"] in CAPTIONED for window in windows)
    return {"num_caption_windows": captioned, "caption_quality_stats": quality_stats(windows)}


def quality_stats(windows: Iterable[dict[str, Any]]) -> Counts:
    """Return the counts of ``caption_quality_stats.json`` over windows of metadata."""
    stats = no_windows()
    for window in windows:
        stats["caption_windows_checked"] += 1
        stats["caption_status_counts"][window["caption_status"]] += 1
        if window["caption_failure_reason"]:
            stats["caption_failure_reason_counts"][window["caption_failure_reason"]] += 1
        if window["caption_status"] not in CAPTIONED:
            continue
        stats["caption_quality_flags_evaluated_count"] += int(window[FLAGS[0]] is not None)
        for flag in FLAGS:
            stats["caption_quality_flag_counts"][flag] += int(bool(window[flag]))
        for flag in OWN_FLAGS:
            stats["own_flag_counts"][flag] += int(bool(window.get(flag)))
        text = caption_text(window).strip()
        stats["empty_caption_count"] += int(not text)
        stats["sentinel_caption_count"] += int(text.lower() == SENTINEL)
    return stats


def no_windows() -> Counts:
    """Return the counts of nothing."""
    return {
        "caption_windows_checked": 0,
        "caption_status_counts": dict.fromkeys(STATUSES, 0),
        "caption_failure_reason_counts": dict.fromkeys(REASONS, 0),
        "caption_quality_flags_evaluated_count": 0,
        "caption_quality_flag_counts": dict.fromkeys(FLAGS, 0),
        "own_flag_counts": dict.fromkeys(OWN_FLAGS, 0),
        "empty_caption_count": 0,
        "sentinel_caption_count": 0,
    }


def added(first: Counts, second: Counts) -> Counts:
    """Return the sums of two counts of the same shape."""
    return {
        name: added(value, second[name]) if isinstance(value, dict) else value + second[name]
        for name, value in first.items()
    }


def _asked(meta: dict[str, Any]) -> list[dict[str, Any]]:
    return [window for window in meta["windows"] if "caption_status" in window]


def _by_clip(
    metas: Sequence[dict[str, Any]], text_of: Callable[[dict[str, Any]], str | None]
) -> dict[str, dict[str, str]]:
    found = {
        meta["span_uuid"]: {
            f"{window['start_frame']}_{window['end_frame']}": text
            for window in _asked(meta)
            if window["caption_status"] in CAPTIONED and (text := text_of(window)) is not None
        }
        for meta in metas
    }
    return {clip_id: texts for clip_id, texts in found.items() if texts}


def _enhanced(window: dict[str, Any]) -> str | None:
    return next((text for name, text in window.items() if name.endswith(_ENHANCED)), None)
