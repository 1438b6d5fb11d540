"""What captions add to a clip's metadata (contract §1.16, Appendix A)."""

from __future__ import annotations

import json
from typing import Any

from transforms.annotate.caption_language import is_wrong_script
from transforms.annotate.caption_quality import (
    OWN_FLAGS,
    is_empty,
    is_length_outlier,
    is_refusal,
    is_repetitive,
    near_duplicates,
    said_in,
)
from transforms.annotate.windows import inclusive_window
from transforms.models.captions.engine import CAPTIONED
from transforms.records import CaptionAnswer, Clip, WindowCaption
from transforms.run_context import CaptionWriting, RunContext


def caption_fields(
    clip: Clip, windows: list[dict[str, Any]], context: RunContext
) -> dict[str, Any]:
    """Return the fields of a clip that was captioned; nothing for others.

    Args:
        clip: With one caption per window, or none.
        windows: The windows as the metadata has them.
        context: Whose captions they are, and how they are judged.

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
    writing = context.caption_writing
    texts = [_text(caption) for caption in clip.captions]
    flags = _flags(clip.captions, writing)
    return {
        "windows": [
            {**window, **_window_fields(caption.answer, context), **odd}
            for window, caption, odd in zip(windows, clip.captions, flags, strict=True)
        ],
        "has_caption": any(text is not None for text in texts),
        "num_caption_windows": sum(text is not None for text in texts),
        "caption_quality_flags_enabled": writing.flags,
        "total_prompt_tokens": sum(caption.answer.prompt_tokens for caption in clip.captions),
        "total_output_tokens": sum(caption.answer.output_tokens for caption in clip.captions),
    }


def _window_fields(answer: CaptionAnswer, context: RunContext) -> dict[str, Any]:
    algorithm = context.captioning_algorithm
    fields: dict[str, Any] = {
        "caption_status": answer.status,
        "caption_failure_reason": answer.reason or None,
        f"{algorithm}_prompt_tokens": answer.prompt_tokens,
        f"{algorithm}_output_tokens": answer.output_tokens,
    }
    if answer.status in CAPTIONED:
        fields[f"{algorithm}_caption"] = answer.text
    if answer.message:
        fields["caption_failure_message"] = answer.message
    if answer.second_pass_message:
        fields["second_pass_failure_message"] = answer.second_pass_message
    if answer.json_text:
        fields["caption_json"] = json.loads(answer.json_text)
    return {**fields, **_enhancement_fields(answer, context.caption_writing)}


def _enhancement_fields(answer: CaptionAnswer, writing: CaptionWriting) -> dict[str, Any]:
    enhancement = answer.enhancement
    if enhancement is None:
        return {}
    fields: dict[str, Any] = {
        "enhancement_prompt_tokens": enhancement.prompt_tokens,
        "enhancement_output_tokens": enhancement.output_tokens,
    }
    if enhancement.text:
        fields[f"{writing.enhanced_by}_enhanced_caption"] = enhancement.text
    if enhancement.message:
        fields["enhancement_failure_message"] = enhancement.message
    return fields


def _flags(
    captions: tuple[WindowCaption, ...], writing: CaptionWriting
) -> list[dict[str, bool | None]]:
    """Return what is odd about each caption; null: it was not looked at."""
    texts = [_said(caption) if writing.flags else None for caption in captions]
    return [
        _own_flags(caption.answer, text, writing)
        | {
            "flag_length_outlier": None if text is None else is_length_outlier(text),
            "flag_repetition": None if text is None else is_repetitive(text),
            "flag_near_duplicate": near,
        }
        for caption, text, near in zip(captions, texts, near_duplicates(texts), strict=True)
    ]


def _own_flags(
    answer: CaptionAnswer, text: str | None, writing: CaptionWriting
) -> dict[str, bool | None]:
    if text is None:
        return dict.fromkeys(OWN_FLAGS)
    language = writing.language
    return {
        "flag_empty": is_empty(text),
        "flag_truncated": answer.status == "truncated",
        "flag_refusal": is_refusal(text),
        "flag_prompt_echo": answer.echoes_prompt,
        "flag_wrong_language": is_wrong_script(text, language) if language else None,
    }


def _said(caption: WindowCaption) -> str | None:
    """Return what a caption says in words: of JSON the texts in it."""
    text = _text(caption)
    return said_in(json.loads(caption.answer.json_text)) if caption.answer.json_text else text


def _text(caption: WindowCaption) -> str | None:
    return caption.answer.text if caption.answer.status in CAPTIONED else None
