"""What is odd about a caption: upstream's flags (contract Appendix A) and some of our own."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

OWN_FLAGS = (
    "flag_empty",
    "flag_truncated",
    "flag_refusal",
    "flag_prompt_echo",
    "flag_wrong_language",
)
"""Flags that upstream does not have."""
SHORTEST_WORDS, LONGEST_WORDS = 4, 1024
"""A caption of fewer or more words is a length outlier."""
ECHOED_WORDS = 8
"""So many words in a row of the prompt are no coincidence."""
_REFUSALS = (
    *("i'm sorry", "i am sorry", "sorry, ", "i apologize"),
    *("i can't", "i cannot", "i can not", "i'm unable", "i am unable", "i'm not able"),
    *("i am not able", "unfortunately, i", "as an ai", "as a language model"),
)
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")


def words(text: str) -> list[str]:
    """Return the words of a text in lower case.

    Example:
        >>> words("A dog's tail -- A dog.")
        ['a', "dog's", 'tail', 'a', 'dog']
    """
    return _WORD.findall(text.lower())


def is_length_outlier(text: str) -> bool:
    """Return whether a caption is suspiciously short or long."""
    return not SHORTEST_WORDS <= len(words(text)) <= LONGEST_WORDS


def is_repetitive(text: str) -> bool:
    """Return whether a caption says the same over and over.

    One word is at least half of six or more words, three words in a row occur three times, or fewer
    than two fifths of eight or more words differ.
    """
    found = words(text)
    if len(found) >= 6 and max(Counter(found).values()) * 2 >= len(found):
        return True
    triples = Counter(zip(found, found[1:], found[2:], strict=False))
    if triples and max(triples.values()) >= 3:
        return True
    return len(found) >= 8 and len(set(found)) / len(found) < 0.4


def near_duplicates(texts: Sequence[str | None]) -> list[bool | None]:
    """Return for each window's caption whether it nearly equals a neighbour's.

    Equal words in order, or at least nine tenths of the different words of both in common. None:
    the window has no caption.
    """
    flags: list[bool | None] = [None if text is None else False for text in texts]
    for place, (first, second) in enumerate(itertools.pairwise(texts)):
        if first is not None and second is not None and _is_near(words(first), words(second)):
            flags[place] = flags[place + 1] = True
    return flags


def said_in(value: Any) -> str:
    """Return the texts in a JSON value, in its order, without the names of its members.

    Example:
        >>> said_in({"camera": "fixed", "events": [{"who": "a car", "lane": 2}]})
        'fixed a car'
    """
    if isinstance(value, str):
        return value
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return " ".join(filter(None, (said_in(one) for one in inner)))


def is_empty(text: str) -> bool:
    """Return whether a caption has no word: nothing, or only marks."""
    return not words(text)


def is_refusal(text: str) -> bool:
    """Return whether a caption begins with an excuse in place of a description.

    English excuses only; "A man says: I'm sorry" is none.
    """
    start = text.strip().lower().replace("\u2019", "'")
    return start.startswith(_REFUSALS)


def echoes_prompt(text: str, prompt: str) -> bool:
    """Return whether eight words in a row of the caption stand in the prompt, too."""
    asked, said = words(prompt), words(text)
    known = {tuple(asked[n : n + ECHOED_WORDS]) for n in range(len(asked) - ECHOED_WORDS + 1)}
    return any(
        tuple(said[n : n + ECHOED_WORDS]) in known for n in range(len(said) - ECHOED_WORDS + 1)
    )


def _is_near(first: list[str], second: list[str]) -> bool:
    if first == second:
        return True
    union = set(first) | set(second)
    return bool(union) and len(set(first) & set(second)) / len(union) >= 0.9
