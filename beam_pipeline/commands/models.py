"""The commands ``models list | pull | check``."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from beam_pipeline.commands.sample import sample_options
from beam_pipeline.configuration.arguments import Arguments, parse_arguments
from beam_pipeline.configuration.config import AnyConfig, ShardConfig
from beam_pipeline.configuration.nearest import nearest
from beam_pipeline.configuration.options import canonical
from beam_pipeline.configuration.settle_here import settle_here
from beam_pipeline.exit_status import EXIT_OK
from beam_pipeline.models.model_table import ModelTable, model_table, raise_problems
from beam_pipeline.preparation.routes import open_stores
from transforms.errors import PreflightError, UsageError
from transforms.models.catalogue import ENTRIES, find_entry
from transforms.models.catalogue_entry import HUB_FILES, Entry
from transforms.models.hub_pull import hub_files
from transforms.models.pull_place import pull, size_text
from transforms.models.weights import FoundWeights, is_hub_id, locate_weights
from transforms.storage.routes import StorageRoute, register
from transforms.storage.uris import scheme_of

MODELS_COMMANDS = ("list", "pull", "check")
ALL_NEEDED = "all-needed"
_PATH, _REVISION, _JSON, _PROFILE = (
    "model_weights_path",
    "revision",
    "json",
    "output_s3_profile_name",
)

Configured = Callable[[Arguments], AnyConfig]


def run_models(words: Sequence[str], configured: Configured) -> int:
    """Run a command of ``models`` and return its exit status.

    Args:
        words: What follows ``models`` on the command line.
        configured: Makes a configuration of a pipeline's command line.

    Raises:
        UsageError: A word or an option is wrong.
        PreflightError: The hub, the disk, the store or this machine refuses.
    """
    command = canonical(words[0]) if words else ""
    if command not in MODELS_COMMANDS:
        hint = nearest(command, MODELS_COMMANDS) or f"; they are {', '.join(MODELS_COMMANDS)}"
        raise UsageError(f"models {command or '(nothing)'}: there is no such command{hint}")
    rest = list(words[1:])
    if command == "check":
        return _check(rest, configured)
    if command == "pull" and rest[:1] == [ALL_NEEDED]:
        return _pull_needed(rest[1:], configured)
    if command == "list":
        given = _given(rest, {_PATH: True, _JSON: False, _PROFILE: True})
        if given.names:
            raise UsageError(f"models list: takes no {given.names[0]}")
        return _list(given.options)
    given = _given(rest, {_PATH: True, _REVISION: True, _PROFILE: True})
    if not given.names:
        raise UsageError(
            "models pull: name a model of python -m beam_pipeline models list, a hub id "
            f"(owner/name), or {ALL_NEEDED} and the pipeline's command line"
        )
    if len(given.names) > 1 and _REVISION in given.options:
        raise UsageError("--revision: belongs to one model; pull the others by themselves")
    return _pull_all(given.names, given.options)


@dataclass
class _Given:
    names: list[str] = field(default_factory=list)
    options: dict[str, str] = field(default_factory=dict)


def _given(words: list[str], known: Mapping[str, bool]) -> _Given:
    """Return names and options of a command line; ``known`` says which options take a value."""
    given, waiting = _Given(), list(words)
    while waiting:
        word = waiting.pop(0)
        if not word.startswith("-"):
            given.names.append(word)
            continue
        name, equals, value = word.lstrip("-").partition("=")
        name = canonical(name)
        if name not in known:
            raise UsageError(f"{word}: there is no such option here{nearest(name, list(known))}")
        if known[name] and not equals and not waiting:
            raise UsageError(f"--{name}: needs a value")
        given.options[name] = value if equals else waiting.pop(0) if known[name] else "true"
    return given


def _use_store(options: Mapping[str, str]) -> str | None:
    place = options.get(_PATH)
    if place and scheme_of(place) and options.get(_PROFILE):
        register([StorageRoute(f"{scheme_of(place)}://", options[_PROFILE])])
    return place


def _list(options: Mapping[str, str]) -> int:
    place = _use_store(options)
    rows = [_facts(one, place) for one in ENTRIES if one.task != "part"]
    if _JSON in options:
        print(json.dumps(rows, indent=2))
        return EXIT_OK
    headings = ("name", "for", "hub id", "size", "licence", "GPU memory", "here")
    table = [headings, *(_cells(row) for row in rows)]
    widths = [max(len(row[i]) for row in table) for i in range(len(headings))]
    for row in table:
        padded = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(padded).rstrip())
    return EXIT_OK


def _facts(one: Entry, place: str | None) -> dict[str, Any]:
    facts = {**dataclasses.asdict(one), "gpu_memory_bytes": one.gpu_memory_bytes}
    found = None if one.is_served else _found(one, place)
    return {
        **facts,
        "here": found.where if found else None,
        "path": str(found.path) if found else None,
    }


def _found(one: Entry, place: str | None) -> FoundWeights | None:
    try:
        return locate_weights(one.name, model_weights_path=place, task=one.task, may_copy=False)
    except PreflightError:
        return None


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    served = row["hub_id"] is None
    return (
        row["name"],
        row["task"],
        row["hub_id"] or "served by an API",
        "-" if served else about(row["num_bytes"]),
        row["licence"] or "-",
        "-" if served else about(row["gpu_memory_bytes"]),
        "-" if served else row["here"] or "no",
    )


def about(num_bytes: int | None) -> str:
    """Return a size that is about right, as people read it."""
    return "not known" if num_bytes is None else size_text(num_bytes)


def _pull_all(names: Sequence[str], options: Mapping[str, str]) -> int:
    place = _use_store(options)
    problems = []
    for name in names:
        for part in _with_parts(name):
            try:
                _pull(part, place, options.get(_REVISION))
            except PreflightError as error:
                problems.append(str(error))
    if problems:
        raise PreflightError("\n".join(problems))
    return EXIT_OK


def _with_parts(name: str) -> list[str]:
    found = find_entry(name)
    if found is not None and found.is_served:
        raise UsageError(f"{name} is served by an API: there are no files to pull")
    if found is None and not is_hub_id(name):
        names = [one.name for one in ENTRIES if not one.is_served]
        raise UsageError(
            f"{name}: no model of the catalogue and no hub id (owner/name)"
            f"{nearest(name, names) or '; see python -m beam_pipeline models list'}"
        )
    return [name, *(found.parts if found else ())]


def _pull(name: str, place: str | None, revision: str | None) -> None:
    found = find_entry(name)
    hub_id = (found.hub_id if found else None) or name
    pinned = found.revision if found else None
    listed = hub_files(
        hub_id, revision=revision or pinned, patterns=found.files if found else HUB_FILES
    )
    licence = f", {found.licence}" if found and found.licence else ""
    _tell(
        f"{hub_id} at {listed.commit}: {len(listed.files)} files, "
        f"{size_text(listed.num_bytes)}{licence}"
    )
    print(f"{hub_id}: in {pull(listed, place, _tell)}")


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _table_of(words: list[str], configured: Configured) -> tuple[AnyConfig, ModelTable, list[str]]:
    config = configured(parse_arguments(["plan", *words], sample_options()))
    open_stores(config)
    config, _, lines = settle_here(config)
    return config, model_table(config), lines


def _check(words: list[str], configured: Configured) -> int:
    _, table, lines = _table_of(words, configured)
    print("\n".join([*lines, *table.lines()]))
    raise_problems(table)
    print("nothing is missing")
    return EXIT_OK


def _pull_needed(words: list[str], configured: Configured) -> int:
    config, table, _ = _table_of(words, configured)
    needed = [row.model for row in table.rows if row.device != "endpoint" and not row.where]
    if not needed:
        print("all that this run needs is here")
        return EXIT_OK
    place = None if isinstance(config, ShardConfig) else config.model_files.folder
    return _pull_all(needed, {_PATH: place} if place else {})
