"""The local folder for files in work: one per run, removed at its end, swept after a kill."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from transforms.errors import PreflightError
from transforms.machine_locks import make_private

LOCK_NAME = "run.lock"
_RUN_ID = re.compile(r"\d{8}T\d{6}-[0-9a-f]{8}")
"""Other folders in a folder that somebody names are none of ours."""


def scratch_root(configured: str | None) -> Path:
    """Return the folder that holds the scratch folders of all runs of this user.

    Raises:
        PreflightError: The default folder belongs to somebody else, or others may write to it.
    """
    if configured:
        return Path(configured).expanduser().absolute()
    return make_private(Path(tempfile.gettempdir()) / f"beam-curate-scratch-{os.getuid()}")


@contextlib.contextmanager
def run_scratch(configured: str | None, run_id: str) -> Iterator[Path]:
    """Make the scratch folder of a run and remove it at the end.

    A run that was killed leaves its folder; the next run removes it, because the lock on it died
    with its process.

    Raises:
        PreflightError: The folder cannot be made or written to.
    """
    root = scratch_root(configured)
    folder = root / run_id
    try:
        folder.mkdir(mode=0o700, parents=True)
        lock = (folder / LOCK_NAME).open("w")
        _sweep(root)
    except OSError as error:
        raise PreflightError(
            f"scratch folder {folder} cannot be used: {error.strerror}; "
            "name another one with --scratch_path"
        ) from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _sweep(root: Path) -> None:
    """Remove the folders of runs that were killed."""
    for lock_path in root.glob(f"*/{LOCK_NAME}"):
        if not _RUN_ID.fullmatch(lock_path.parent.name):
            continue
        with contextlib.suppress(FileNotFoundError), lock_path.open() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            # A folder as young as this may belong to a run that has not locked it yet.
            if _age_seconds(lock_path) > 60:
                shutil.rmtree(lock_path.parent, ignore_errors=True)


def _age_seconds(path: Path) -> float:
    return time.time() - path.stat().st_mtime
