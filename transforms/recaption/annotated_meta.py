"""The metadata of a clip that was captioned anew: what ``split`` wrote, with other captions."""

from __future__ import annotations

from typing import Any

from transforms.annotate.windows import inclusive_window
from transforms.clips.caption_fields import caption_fields
from transforms.models.captions.engine import CAPTIONED
from transforms.records import Clip, ClipFile
from transforms.run_context import RunContext

CAPTION_FIELDS = frozenset(
    {
        "windows",
        "valid",
        "has_caption",
        "num_caption_windows",
        "caption_quality_flags_enabled",
        "total_prompt_tokens",
        "total_output_tokens",
        "stages",
    }
)
"""Fields that are made anew; every other one is as ``split`` wrote it."""


def annotated_meta(first: dict[str, Any], clip: Clip, context: RunContext) -> dict[str, Any]:
    """Return the metadata of a version.

    Nothing of earlier captions is left. ``valid`` is said anew: upstream writes false for clips of
    runs without captions, because windows come with captions there.

    Args:
        first: The clip's metadata of v0.
        clip: Looked at and, where it has windows, captioned.
        context: Names the version's algorithm and fingerprint.

    Raises:
        ValueError: The clip was not looked at.
    """
    if not isinstance(clip.file, ClipFile):
        raise ValueError(f"clip {clip.clip_id} was not looked at")
    windows: list[dict[str, Any]] = []
    for window in clip.file.windows:
        first_frame, last_frame = inclusive_window((window.start_frame, window.end_frame))
        numbers = {"start_frame": first_frame, "end_frame": last_frame}
        windows.append({**numbers, "num_bytes": window.num_bytes})
    kept = {name: value for name, value in first.items() if name not in CAPTION_FIELDS}
    stages = first.get("stages")
    return {
        **kept,
        "windows": windows,
        "valid": bool(windows),
        "has_caption": False,
        "total_prompt_tokens": 0,
        "total_output_tokens": 0,
        **caption_fields(clip, windows, context),
        "stages": {**(stages if isinstance(stages, dict) else {}), **dict(context.stages)},
    }


def with_earlier_captions(meta: dict[str, Any], earlier: dict[str, Any]) -> dict[str, Any]:
    """Return the metadata with the earlier caption of each window that has none now.

    A clip is tried again for the sake of one window; no other one may lose what it has.
    """
    captioned = {
        (window["start_frame"], window["end_frame"]): window
        for window in earlier["windows"]
        if window.get("caption_status") in CAPTIONED
    }
    windows, saved = [], {"prompt": 0, "output": 0}
    for window in meta["windows"]:
        before = captioned.get((window["start_frame"], window["end_frame"]))
        if before is None or window.get("caption_status") in CAPTIONED:
            windows.append(window)
            continue
        windows.append(before)
        for kind in saved:
            saved[kind] += _tokens(before, kind) - _tokens(window, kind)
    num_captioned = sum(window.get("caption_status") in CAPTIONED for window in windows)
    return {
        **meta,
        "windows": windows,
        "has_caption": num_captioned > 0,
        "num_caption_windows": num_captioned,
        **{f"total_{kind}_tokens": meta[f"total_{kind}_tokens"] + saved[kind] for kind in saved},
    }


def _tokens(window: dict[str, Any], kind: str) -> int:
    """Return what the caption took; the field is named after whoever wrote it."""
    found = (
        count
        for name, count in window.items()
        if name.endswith(f"_{kind}_tokens") and not name.startswith("enhancement_")
    )
    return next(found, 0)
