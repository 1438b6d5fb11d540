"""What captions add to a clip's metadata (contract §1.16, Appendix A)."""

from __future__ import annotations

from typing import Any

from transforms.annotate.caption_quality import is_length_outlier, is_repetitive, near_duplicates
from transforms.annotate.windows import inclusive_window
from transforms.models.captions.engine import CAPTIONED
from transforms.records import Clip, WindowCaption


def caption_fields(clip: Clip, windows: list[dict[str, Any]], algorithm: str) -> dict[str, Any]:
    """Return the fields of a clip that was captioned; nothing for others.

    Args:
        clip: With one caption per window, or none.
        windows: The windows as the metadata has them.
        algorithm: Part of the names of fields.

    Raises:
        ValueError: Captions and windows do not belong together.
    """
    if not clip.captions:
        return {}
    frames = [
        inclusive_window((caption.start_frame, caption.end_frame)) for caption in clip.captions
    ]
    if frames != [(window["start_frame"], window["end_frame"]) for window in windows]:
        raise ValueError(f"clip {clip.clip_id}: captions of other windows than it has")
    texts = [_text(caption) for caption in clip.captions]
    return {
        "windows": [
            {**window, **_window_fields(caption, algorithm, near)}
            for window, caption, near in zip(
                windows, clip.captions, near_duplicates(texts), strict=True
            )
        ],
        "has_caption": any(text is not None for text in texts),
        "num_caption_windows": sum(text is not None for text in texts),
        "caption_quality_flags_enabled": True,
        "total_prompt_tokens": sum(caption.answer.prompt_tokens for caption in clip.captions),
        "total_output_tokens": sum(caption.answer.output_tokens for caption in clip.captions),
    }


def _window_fields(caption: WindowCaption, algorithm: str, near: bool | None) -> dict[str, Any]:
    text = _text(caption)
    fields: dict[str, Any] = {
        "caption_status": caption.answer.status,
        "caption_failure_reason": caption.answer.reason or None,
        f"{algorithm}_prompt_tokens": caption.answer.prompt_tokens,
        f"{algorithm}_output_tokens": caption.answer.output_tokens,
        "flag_length_outlier": None if text is None else is_length_outlier(text),
        "flag_repetition": None if text is None else is_repetitive(text),
        "flag_near_duplicate": near,
    }
    if text is not None:
        fields[f"{algorithm}_caption"] = text
    if caption.answer.message:
        fields["caption_failure_message"] = caption.answer.message
    return fields


def _text(caption: WindowCaption) -> str | None:
    return caption.answer.text if caption.answer.status in CAPTIONED else None
