"""The local folder for files in work: one per run, removed at its end, swept after a kill."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import re
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from transforms.errors import PreflightError
from transforms.machine_locks import make_private

HERE_VARIABLE = "BEAM_CURATE_SCRATCH"
"""Names the folder of a worker on a cluster, which its boot program made."""
LOCK_NAME = "run.lock"
_OURS = re.compile(r"\d{8}T\d{6}-[0-9a-f]{8}|archive-[0-9a-f]{16}")
"""Other folders in a folder that somebody names are none of ours."""
_UNLOCKED_PREFIX = ".new-"
_UNLOCKED_SECONDS = 60


def scratch_root(configured: str | None) -> Path:
    """Return the folder that holds the scratch folders of all runs of this user.

    Raises:
        PreflightError: The default folder belongs to somebody else, or others may write to it.
    """
    if configured:
        return Path(configured).expanduser().absolute()
    return make_private(Path(tempfile.gettempdir()) / f"beam-curate-scratch-{os.getuid()}")


def scratch_here(of_run: str) -> Path:
    """Return the folder for files in work on this machine.

    Args:
        of_run: The folder of the run, on the machine that the command runs on.
    """
    return Path(os.environ.get(HERE_VARIABLE) or of_run)


def new_run_id() -> str:
    """Return a name for a run that no other run has."""
    return f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{uuid.uuid4().hex[:8]}"


def archive_folder_name(*what: str) -> str:
    """Return a name for a scratch folder that a later run for the same purpose has again."""
    return "archive-" + hashlib.sha256("\n".join(what).encode()).hexdigest()[:16]


@contextlib.contextmanager
def run_scratch(configured: str | None, run_id: str) -> Iterator[Path]:
    """Make the scratch folder of a run and remove it at the end.

    A run that was killed leaves its folder; the next run removes it, because the lock on it died
    with its process.

    Raises:
        PreflightError: The folder cannot be made or written to.
    """
    root = scratch_root(configured)
    folder, unlocked = root / run_id, root / f"{_UNLOCKED_PREFIX}{new_run_id()}"
    try:
        unlocked.mkdir(mode=0o700, parents=True)
        lock = (unlocked / LOCK_NAME).open("w")
        fcntl.flock(lock, fcntl.LOCK_EX)
        # It gets its name with the lock held: under that name an open lock is a dead run's.
        _sweep(root)
        unlocked.rename(folder)
    except OSError as error:
        shutil.rmtree(unlocked, ignore_errors=True)
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            raise PreflightError(
                f"scratch folder {folder} is in use: another run unpacks the same archive for the "
                "same output; wait for its end"
            ) from error
        raise PreflightError(
            f"scratch folder {folder} cannot be used: {error.strerror}; "
            "name another one with --scratch_path"
        ) from error
    with lock:
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _sweep(root: Path) -> None:
    """Remove the folders of runs that were killed."""
    for folder in root.iterdir():
        if _OURS.fullmatch(folder.name):
            if not _is_locked(folder / LOCK_NAME):
                shutil.rmtree(folder, ignore_errors=True)
        elif _OURS.fullmatch(folder.name.removeprefix(_UNLOCKED_PREFIX)):
            with contextlib.suppress(FileNotFoundError):
                # A younger one may belong to a run that locks it in this moment.
                if time.time() - folder.stat().st_mtime > _UNLOCKED_SECONDS:
                    shutil.rmtree(folder, ignore_errors=True)


def _is_locked(path: Path) -> bool:
    """Return whether the run of this lock lives; one without a lock file was swept halfway."""
    try:
        with path.open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False
