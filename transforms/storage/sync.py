"""Files that must outlast a loss of power: on disk before the name that publishes them.

``--no-fsync`` switches it off, by a variable of the environment: every process of the run, the
workers and their children too, inherits it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

VARIABLE = "BEAM_CURATE_FSYNC"
"""``0``: nothing is synced. Anything else, and absent: everything that is published is."""


def is_on() -> bool:
    """Return whether files are synced in this process."""
    return os.environ.get(VARIABLE) != "0"


@contextlib.contextmanager
def syncing(enabled: bool) -> Iterator[None]:
    """Sync, or do not, in this process and in those it starts, while the context is open."""
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = "1" if enabled else "0"
    try:
        yield
    finally:
        if before is None:
            del os.environ[VARIABLE]
        else:
            os.environ[VARIABLE] = before


def sync_file(path: str) -> None:
    """Wait until the content of a file is on disk; to be called before it gets its final name."""
    if is_on():
        _sync(path)


def sync_folder(folder: str) -> None:
    """Wait until the names in a folder are on disk."""
    if is_on():
        _sync(folder)


def make_folders(folder: str) -> None:
    """Make a folder and those above it that are missing, each name on disk."""
    missing = []
    above = folder
    while above and not os.path.isdir(above):
        missing.append(above)
        above = os.path.dirname(above)
    os.makedirs(folder, exist_ok=True)
    for made in reversed(missing):
        sync_folder(os.path.dirname(made) or ".")


def _sync(path: str) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
