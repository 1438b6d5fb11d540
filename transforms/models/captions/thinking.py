"""Models that think aloud before they answer: only the answer is a caption (contract §1.14)."""

from __future__ import annotations

_END_OF_THOUGHT = "</think>"
_START, _END = "<answer>", "</answer>"


def final_answer(text: str) -> str:
    """Return what stands behind the thoughts, and within the answer's tags if there are any.

    A text that breaks off while the model still thinks has no answer: it is empty then.

    Example:
        >>> final_answer("<think>A dog?</think> <answer>A dog runs.</answer>")
        'A dog runs.'
        >>> final_answer("<think>A dog?</think> A dog runs.")
        'A dog runs.'
        >>> final_answer("A dog runs.")
        'A dog runs.'
        >>> final_answer("<think>A dog, or")
        ''
    """
    _, ended, rest = text.rpartition(_END_OF_THOUGHT)
    if not ended and text.lstrip().startswith("<think>"):
        return ""
    _, started, answer = rest.partition(_START)
    return (answer.partition(_END)[0] if started else rest.partition(_END)[0]).strip()
