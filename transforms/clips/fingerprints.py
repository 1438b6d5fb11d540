"""Fingerprints: hashes of the options that change a stage's bytes."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from transforms.run_context import SCHEMA_VERSION


def fingerprint(values: dict[str, Any]) -> str:
    """Return 16 hex digits that change when any of the values or the schema changes."""
    text = json.dumps({"schema_version": SCHEMA_VERSION, **values}, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
