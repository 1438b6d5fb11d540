"""``runs/options.json``: the options an output was made with, and what may change later."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from transforms.errors import UsageError
from transforms.ingest.list_videos import VideoInput
from transforms.json_files import read_json_if_there, write_json
from transforms.layout import options_uri
from transforms.run_context import SCHEMA_VERSION
from transforms.run_options import Run

_PATHS = ("output_clip_path", "input_clip_path", "annotation_version")
_NO_BYTES = frozenset({*Run.model_fields, *VideoInput.model_fields, *_PATHS})
"""Options that a conflict is never about: which videos, where to, how to run."""

_logger = logging.getLogger(__name__)

_LIMIT = "limit_clips"


@dataclass(frozen=True)
class RunOptions:
    """What a run was asked for, in the form that is stored."""

    pipeline: str
    options: dict[str, Any]
    """Option to value, defaults included."""
    resolved: dict[str, Any]
    """Option to ``{"requested", "resolved", "why"}``."""
    fingerprints: dict[str, str]
    """Stage to fingerprint."""


def store_options(
    root: str, run: RunOptions, *, accept_changes: bool, uri: str | None = None
) -> None:
    """Store the options before any work; a stage turned on or off later is no conflict.

    Args:
        root: Output root.
        run: What was asked for.
        accept_changes: Whether other options than the stored ones will do.
        uri: The file; None for that of the output.

    Raises:
        UsageError: A stage would now make other bytes than it did; names what changed and the
            three ways on.
    """
    uri = uri or options_uri(root)
    stored = read_json_if_there(uri)
    if stored is not None and not accept_changes:
        changed = [
            stage
            for stage, value in run.fingerprints.items()
            if stored["fingerprints"].get(stage, value) != value
        ]
        if changed:
            raise UsageError(_conflict(root, stored, run, changed))
    content = {
        "schema_version": SCHEMA_VERSION,
        "pipeline": run.pipeline,
        "options": run.options,
        "resolved": run.resolved,
        "fingerprints": {**(stored or {}).get("fingerprints", {}), **run.fingerprints},
    }
    if stored is not None:
        _warn_of_limit(stored["options"].get(_LIMIT), run.options.get(_LIMIT))
    if content != stored:
        write_json(uri, content)


def _warn_of_limit(before: int | None, now: int | None) -> None:
    if before is not None and before != now:
        _logger.warning(
            "%s was %s and is %s now: videos that are planned keep their clips, new ones get the "
            "new limit",
            _LIMIT,
            before,
            now,
        )


def _anew(run: RunOptions) -> str:
    return "another annotation_version" if run.pipeline == "recaption" else "a new output_clip_path"


def _conflict(root: str, stored: dict[str, Any], run: RunOptions, changed: list[str]) -> str:
    differences = [
        f"  {name}: was {stored['options'].get(name)!r}, now {value!r}"
        for name, value in sorted(run.options.items())
        if name in stored["options"] and stored["options"][name] != value and name not in _NO_BYTES
    ]
    lines = [
        f"{root} was begun with other options for: {', '.join(changed)}",
        *(differences or ["  no option changed; the encoder or the format of the files did"]),
        "Three ways on:",
        "  1. give the old options again, and the run goes on where it stopped;",
        f"  2. choose {_anew(run)}, and everything is made anew;",
        "  3. add --accept_changes: clips that are done stay, new ones get the new options.",
    ]
    return "\n".join(lines)
