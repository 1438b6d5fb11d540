"""Whether a folder holds a model whole."""

from __future__ import annotations

import fnmatch
import json
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any

COMMIT_FILE = ".beam-curate-commit"
"""Holds the commit that a pull brought into a folder."""
UNFINISHED = f"{COMMIT_FILE}-unfinished"
"""Lies there while a pull into a store goes on."""
_WEIGHTS = ("*.safetensors", "*.bin", "*.pt", "*.pth")
_INDEXES = ("*.safetensors.index.json", "*.bin.index.json")


def problem_of(folder: Path, files: Iterable[str] = ()) -> str | None:
    """Return what a model's folder lacks, None when nothing is known to be missing.

    Args:
        folder: The folder.
        files: Names and patterns of the files of this model; a name must be there.
    """
    if (folder / UNFINISHED).is_file():
        return "a pull into it was not finished"
    names = [name for name in files if not any(mark in name for mark in "*?[")]
    missing = [name for name in [*names, *_indexed(folder)] if not (folder / name).is_file()]
    if missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        return f"{', '.join(missing[:3])}{more} missing"
    if not names and not (folder / "config.json").is_file():
        return "config.json missing"
    if not names and not any(_matching(folder, _WEIGHTS)):
        return f"no weights ({', '.join(_WEIGHTS)})"
    cut = next((path for path in _matching(folder, ["*.safetensors"]) if _is_cut(path)), None)
    return f"{cut.name} is damaged or cut off" if cut else None


def commit_of(folder: Path) -> str | None:
    """Return the commit on the hub that a folder was pulled at; None: not known."""
    noted = folder / COMMIT_FILE
    return noted.read_text(encoding="utf-8").strip() if noted.is_file() else None


def _indexed(folder: Path) -> list[str]:
    """Return the files that a checkpoint in several files names in its index."""
    found = set()
    for path in _matching(folder, _INDEXES):
        try:
            weights: Any = json.loads(path.read_text(encoding="utf-8"))["weight_map"]
            found |= set(weights.values())
        except (ValueError, KeyError, TypeError, AttributeError):
            found.add(f"weight_map in {path.name}")
    return sorted(map(str, found))


def _matching(folder: Path, patterns: Iterable[str]) -> list[Path]:
    return sorted(
        path
        for path in folder.iterdir()
        if any(fnmatch.fnmatch(path.name, pattern) for pattern in patterns) and path.is_file()
    )


def _is_cut(path: Path) -> bool:
    """Return whether a file of safetensors is shorter or longer than its own header says."""
    try:
        with path.open("rb") as file:
            (num_header,) = struct.unpack("<Q", file.read(8))
            if num_header > path.stat().st_size:
                return True
            header = json.loads(file.read(num_header))
        ends = [one["data_offsets"][1] for name, one in header.items() if name != "__metadata__"]
        return bool(path.stat().st_size != 8 + num_header + max(ends, default=0))
    except (struct.error, ValueError, KeyError, TypeError, IndexError):
        return True
