"""Every model that an option can name: where its files are, how large they are, what they need."""

from __future__ import annotations

from pathlib import Path

from pydantic import TypeAdapter

from transforms.errors import UsageError
from transforms.models.catalogue_entry import Entry, Task

_FILE = Path(__file__).with_name("catalogue.json")


ENTRIES: tuple[Entry, ...] = TypeAdapter(tuple[Entry, ...]).validate_json(_FILE.read_bytes())
"""All of ``catalogue.json``, by task, in the order in which they are listed."""


def find_entry(name: str, task: Task | None = None) -> Entry | None:
    """Return the entry that a name, an alias or a hub id means; None: the catalogue has none.

    Args:
        name: As a user may write it: dashes and underscores are alike, and so are cases.
        task: What it is for, where a name such as ``openai`` stands for several models.

    Example:
        >>> find_entry("Qwen/Qwen2.5-VL-7B-Instruct").name
        'qwen'
        >>> find_entry("openai", "embedding").is_served
        True
    """
    wanted = _plain(name)
    for one in ENTRIES:
        if task in (None, one.task) and wanted in map(
            _plain, (one.name, one.hub_id or one.name, *one.aliases)
        ):
            return one
    return None


def entry(name: str, task: Task | None = None) -> Entry:
    """Return the entry as ``find_entry`` does.

    Raises:
        UsageError: The catalogue has none.
    """
    found = find_entry(name, task)
    if found is None:
        names = ", ".join(sorted({one.name for one in ENTRIES if task in (None, one.task)}))
        raise UsageError(
            f"{name}: no model of the catalogue{f' for {task}' if task else ''}; it has {names}; "
            "any other is named by its hub id (owner/name) or its folder"
        )
    return found


def _plain(name: str) -> str:
    return name.lower().replace("-", "_")
