"""What a worker checks before it starts, each with an exit status that tells the submitter."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import time
from collections.abc import Mapping
from pathlib import Path

from runners.boot_order import OPTIONAL, BootOrder, program_facts
from transforms.errors import CurateError
from transforms.scratch import scratch_root
from transforms.storage.interface import StorageError, StoreAwayError
from transforms.storage.open_storage import hasty_storage_for, storage_for
from transforms.storage.uris import join, scheme_of

MIN_FREE_BYTES = 256 * 1024 * 1024
"""With less room for files in work not even one clip's are safe."""
_PATIENCE_SECONDS = 20.0
"""So long a store may be away when a worker starts."""
CHECK_PATIENCE_SECONDS = 4.0
"""The same when a machine is only checked: somebody waits for the answer."""
_LOOK_SECONDS = 1.0
_STOP = "stop"
"""Name of the file that tells workers to end."""
OTHER_PROGRAM = 65
NOT_VISIBLE = 66
NO_SCRATCH = 67
NOT_STARTED = 68
PROBLEMS: Mapping[int, str] = {
    OTHER_PROGRAM: "it has other versions than the machine that submits; install the same ones",
    NOT_VISIBLE: "it does not see the storage; mount it there under the same path, or let it reach "
    "the store with the profile's credentials",
    NO_SCRATCH: "it has no room for files in work; free some, or name another --scratch_path",
    NOT_STARTED: "it ended while it started; its log there, or the TaskManager's, tells why",
    1: "its Python does not find this program; install beam-curate there",
    126: "its Python cannot be run; install the same one there, or name it with --worker_python",
    127: "its Python is not there; install the same one there, or name it with --worker_python",
}
"""Exit status of the boot program to what is wrong with the worker's machine."""


class BootError(CurateError):
    """A worker cannot start on this machine."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(status, message)
        self.status = status
        self.message = message

    def __str__(self) -> str:
        """Return the sentence for people."""
        return self.message


def check_machine(order: BootOrder, *, patience_seconds: float = _PATIENCE_SECONDS) -> None:
    """Check that a worker can do its work on this machine.

    Args:
        order: What the submitter told.
        patience_seconds: So long a store may be away.

    Raises:
        BootError: It cannot; says why.
    """
    _check_program(order.program)
    for uri in order.visible:
        _check_visible(uri, patience_seconds)
    _check_scratch(order.scratch_path)


def report(order: BootOrder, error: BootError) -> None:
    """Write what is wrong where the submitter reads it, unless its folder is what is missing."""
    if order.reports is None:
        return
    if error.status == NOT_VISIBLE and not scheme_of(order.reports):
        # It would be made where the storage is not mounted.
        return
    name = f"{socket.gethostname()}-{os.getpid()}-{time.time_ns()}.json"
    uri = join(order.reports, name)
    content = {"host": socket.gethostname(), "status": error.status, "message": error.message}
    try:
        hasty_storage_for(uri).write(uri, json.dumps(content).encode())
    except CurateError as failed:
        # The exit status still tells; the log has both.
        print(f"the submitter could not be told: {failed}", flush=True)


def read_report(folder: str | None) -> str | None:
    """Return what the first worker to complain says, with its host; None when none does.

    None also while the storage is away: the exit status of the worker tells enough.
    """
    if folder is None:
        return None
    with contextlib.suppress(StorageError, StoreAwayError):
        for stat in storage_for(folder).list(folder):
            if stat.uri.endswith(f"/{_STOP}"):
                continue
            content = json.loads(storage_for(stat.uri).read(stat.uri))
            return f"{content['host']}: {content['message']}"
    return None


def tell_to_stop(folder: str | None) -> None:
    """Let all workers of a run end at once, also those that do not answer their TaskManager."""
    if folder is not None:
        # Where the store is away, the runner's own means are left, and must not wait for long.
        with contextlib.suppress(StorageError, StoreAwayError):
            hasty_storage_for(folder).write(join(folder, _STOP), b"")


def is_told_to_stop(folder: str | None) -> bool:
    """Return whether :func:`tell_to_stop` was called; False while the storage is away."""
    if folder is None:
        return False
    with contextlib.suppress(StorageError, StoreAwayError):
        return hasty_storage_for(folder).exists(join(folder, _STOP))
    return False


def _check_program(wanted: Mapping[str, str]) -> None:
    found = program_facts()
    differing = [
        f"{name} {found.get(name, 'missing')} here, {wanted.get(name, 'missing')} there"
        for name in sorted({*wanted, *found} - (OPTIONAL - ({*wanted} & {*found})))
        if wanted.get(name) != found.get(name)
    ]
    if differing:
        raise BootError(
            OTHER_PROGRAM,
            f"worker and submitter differ: {'; '.join(differing)}; install the same versions",
        )


def _check_visible(uri: str, patience_seconds: float) -> None:
    try:
        is_there = _awaited(uri, patience_seconds)
    except (CurateError, OSError) as error:
        where = f"on {socket.gethostname()}"
        raise BootError(NOT_VISIBLE, f"{uri}: cannot be read {where}: {error}") from error
    if not is_there:
        raise BootError(NOT_VISIBLE, f"{uri}: is not there on {socket.gethostname()}")


def _awaited(uri: str, patience_seconds: float) -> bool:
    """Return whether something is there; wait for a store that is away for a moment."""
    deadline = time.monotonic() + patience_seconds
    while True:
        try:
            return is_visible(uri)
        except StoreAwayError:
            if time.monotonic() > deadline:
                raise
        time.sleep(_LOOK_SECONDS)


def is_visible(uri: str) -> bool:
    """Return whether a file, an object, or anything below a folder of a store is there.

    One byte is read of what lies in a store: some who may list may not read.

    Raises:
        PreflightError: There are no credentials for it here.
        StorageError: It cannot be read.
        StoreAwayError: The store cannot be reached, or refuses everything.
    """
    if not scheme_of(uri):
        return Path(uri).exists()
    storage = hasty_storage_for(uri)
    found = next((stat.uri for stat in storage.list(uri)), None)
    if found is None and storage.exists(uri):
        found = uri
    if found is not None:
        storage.read_range(found, 0, 1)
    return found is not None


def _check_scratch(configured: str | None) -> None:
    try:
        root = scratch_root(configured)
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        free = shutil.disk_usage(root).free
    except (CurateError, OSError) as error:
        raise BootError(NO_SCRATCH, f"scratch folder: {error}") from error
    if free < MIN_FREE_BYTES:
        raise BootError(
            NO_SCRATCH,
            f"scratch folder {root}: needed {MIN_FREE_BYTES >> 20} MiB of room at least, got "
            f"{free >> 20} MiB",
        )
