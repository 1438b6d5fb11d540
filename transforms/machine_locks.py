"""Locks between all processes of one user on one machine; a lock ends with its process."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from transforms.errors import PreflightError

FOLDER_NAME = "beam-curate"


def lock_folder() -> Path:
    """Return the one folder of this user for lock files, made with mode 0700 if absent.

    It is ``$XDG_RUNTIME_DIR/beam-curate`` where that folder exists, else
    ``beam-curate-{uid}`` in the folder for temporary files. It does not depend on the run, so
    that every run of this user on this machine meets there.

    Raises:
        PreflightError: The folder cannot be made, is a link, or others could write to it.
    """
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if runtime and Path(runtime).is_dir():
        folder = Path(runtime) / FOLDER_NAME
    else:
        folder = Path(tempfile.gettempdir()) / f"{FOLDER_NAME}-{os.getuid()}"
    return make_private(folder)


def make_private(folder: Path) -> Path:
    """Make a folder of this user alone, mode 0700, if it is absent, and return it.

    In a folder that everybody may write to, somebody else may have taken the name.

    Raises:
        PreflightError: The folder cannot be made, is a link, or others could write to it.
    """
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
    except OSError as error:
        raise _unusable(folder, f"it cannot be made: {error.strerror}") from error
    if not stat.S_ISDIR(status.st_mode):
        raise _unusable(folder, "it is a link or a file, not a folder")
    if status.st_uid != os.geteuid():
        raise _unusable(folder, f"it belongs to uid {status.st_uid}, not to uid {os.geteuid()}")
    if stat.S_IMODE(status.st_mode) & 0o022:
        raise _unusable(folder, "other users may write to it")
    return folder


@contextlib.contextmanager
def machine_lock(name: str) -> Iterator[None]:
    """Hold the lock of this name; wait for it as long as another thread or process holds it.

    Args:
        name: Any string, for example the URI of the object that is replaced.

    Raises:
        PreflightError: The folder for lock files cannot be used.
    """
    locks = lock_folder() / "locks"
    digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:32]
    # The file is never removed: whoever waits on a removed file would hold a lock of its own.
    with open_lock_file(locks / digest) as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def open_lock_file(path: Path) -> Iterator[int]:
    """Open the file to be locked, made if absent; yields its descriptor, closed at the end.

    Raises:
        PreflightError: The file or its folder cannot be made.
    """
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _unusable(path, f"it cannot be opened: {error.strerror}") from error
    try:
        yield handle
    finally:
        os.close(handle)


def _unusable(path: Path, problem: str) -> PreflightError:
    return PreflightError(
        f"files in work need a place that only this user writes to, but {path} cannot be used: "
        f"{problem}. Remove it, or set XDG_RUNTIME_DIR or TMPDIR to a folder of your own."
    )
