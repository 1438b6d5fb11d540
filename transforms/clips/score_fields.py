"""A clip's scores as its metadata holds them, and back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

_MOTION = "motion_"
_BOX = ("picture_left", "picture_top", "picture_width", "picture_height")


def score_fields(scores: Iterable[tuple[str, float]]) -> dict[str, Any]:
    """Return ``motion_score`` and ``scores``, each only when there is something in it."""
    by_name = dict(scores)
    motion = {
        name.removeprefix(_MOTION): value
        for name, value in by_name.items()
        if name.startswith(_MOTION)
    }
    others: dict[str, Any] = {
        name: value
        for name, value in by_name.items()
        if not name.startswith(_MOTION) and name not in _BOX
    }
    if all(name in by_name for name in _BOX):
        others["picture_box"] = [int(by_name[name]) for name in _BOX]
    fields = {"motion_score": motion, "scores": others}
    return {name: found for name, found in fields.items() if found}


def stored_scores(meta: dict[str, Any]) -> tuple[tuple[str, float], ...]:
    """Return the scores of a clip's metadata by name, sorted: the reverse of ``score_fields``."""
    found = {f"{_MOTION}{name}": value for name, value in meta.get("motion_score", {}).items()}
    others = dict(meta.get("scores", {}))
    box = others.pop("picture_box", None)
    found.update(others)
    if box is not None:
        found.update(zip(_BOX, box, strict=True))
    return tuple((name, float(value)) for name, value in sorted(found.items()))
