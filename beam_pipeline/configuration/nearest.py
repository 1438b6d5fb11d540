"""Suggests what a mistyped name may have meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``; did you mean NAME?``, or an empty string when nothing is close.

    Example:
        >>> nearest("treshold", ["limit", "threshold"])
        '; did you mean threshold?'
    """
    matches = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean {matches[0]}?" if matches else ""
