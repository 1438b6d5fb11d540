"""What a response of the Gemini API says about a window."""

from __future__ import annotations

from typing import Any

from transforms.models.captions.gemini_client import GeminiError
from transforms.records import CaptionAnswer

_BLOCKED = frozenset(
    {
        "SAFETY",
        "RECITATION",
        "BLOCKLIST",
        "PROHIBITED_CONTENT",
        "SPII",
        "IMAGE_SAFETY",
        "IMAGE_PROHIBITED_CONTENT",
    }
)
"""Reasons to stop that are a judgement on what is shown or said."""
_GOOD = frozenset({"STOP", "MAX_TOKENS", ""})


def read_answer(response: dict[str, Any]) -> CaptionAnswer:
    """Return the answer in a response; an empty text is an error.

    Raises:
        GeminiError: It is none of the API's responses.
    """
    try:
        tokens = _tokens(response.get("usageMetadata") or {})
        blocked = (response.get("promptFeedback") or {}).get("blockReason")
        if blocked:
            return CaptionAnswer("blocked", "", "", f"prompt: {blocked}", *tokens)
        candidate = response["candidates"][0]
        finish = str(candidate.get("finishReason") or "")
        parts = (candidate.get("content") or {}).get("parts") or []
        text = "".join(part.get("text", "") for part in parts if not part.get("thought")).strip()
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise GeminiError(
            f"what the server sent is no answer of the Gemini API ({type(error).__name__})"
        ) from None
    if finish in _BLOCKED:
        return CaptionAnswer("blocked", text, "", finish, *tokens)
    if not text or finish not in _GOOD:
        what = "stopped by the model" if text else "empty"
        why = f"the caption is {what} ({finish or 'no reason given'})"
        if finish == "MAX_TOKENS":
            why += "; the model's thoughts took all: raise --captioning_max_output_tokens"
        return CaptionAnswer("error", "", "exception", why, *tokens)
    return CaptionAnswer(
        "truncated" if finish == "MAX_TOKENS" else "success", text, "", "", *tokens
    )


def _tokens(usage: dict[str, Any]) -> tuple[int, int]:
    """Return tokens of prompt and answer; thoughts are paid as the answer's."""
    answer = int(usage.get("candidatesTokenCount") or 0) + int(usage.get("thoughtsTokenCount") or 0)
    return int(usage.get("promptTokenCount") or 0), answer
