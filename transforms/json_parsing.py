"""JSON from outside: parsed within limits, so that no file can end a run by what is in it."""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import Any

MAX_JSON_BYTES = 1 << 30
"""Largest JSON file that is read; ``summary.json`` names every clip of an output."""
MAX_SMALL_JSON_BYTES = 16 << 20
"""The same for files about one clip or one run: metadata, configuration."""
MAX_DEPTH = 64
"""Most mappings and lists in one another; this program's own files have fewer than ten."""
_MAX_DIGITS = 19
"""More does not fit into the 64 bits of any field."""


def parse_json(text: str | bytes) -> Any:
    """Return the value of a JSON text.

    Raises:
        ValueError: It is no JSON, nests deeper than ``MAX_DEPTH``, has a key twice in one mapping,
            NaN, infinity, or a number that 64 bits do not hold. A ``json.JSONDecodeError`` where
            the syntax is wrong.

    Example:
        >>> parse_json('{"a": [1, 2.5]}')
        {'a': [1, 2.5]}
    """
    try:
        value = json.loads(
            text,
            object_pairs_hook=_unique,
            parse_constant=_constant,
            parse_float=_finite,
            parse_int=_whole,
        )
    except RecursionError:
        raise ValueError(_too_deep()) from None
    check_depth(value)
    return value


def check_depth(value: Any) -> None:
    """Raise ``ValueError`` when a value nests deeper than ``MAX_DEPTH``."""
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [inner for outer in level for inner in _containers_in(outer)]
        if not level:
            return
    raise ValueError(_too_deep())


def _containers_in(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [inner for inner in value.values() if isinstance(inner, dict | list)]
    if isinstance(value, list):
        return [inner for inner in value if isinstance(inner, dict | list)]
    return []


def _too_deep() -> str:
    return f"lists and mappings nest deeper than {MAX_DEPTH}"


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        doubled, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise ValueError(f"has the key {doubled[:100]!r} twice in one mapping")
    return values


def _constant(text: str) -> Any:
    raise ValueError(f"{text} is no JSON number")


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"the number {text[:30]} is too large")
    return value


def _whole(text: str) -> int:
    if len(text) > _MAX_DIGITS + 1:
        raise ValueError(f"the number {text[:30]}... has {len(text)} digits")
    return int(text)
