"""Only one run works in an output: it holds the lease; that of a dead run is taken over."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator

from transforms.errors import PreflightError
from transforms.heartbeat import (
    Heartbeat,
    LeaseLostError,
    note_given_back,
    note_taken,
    raise_if_lost,
)
from transforms.lease_file import (
    Holder,
    StoredLease,
    lease_bytes,
    new_holder,
    read_lease,
    store_clock,
)
from transforms.storage.interface import StorageError, StoreAwayError
from transforms.storage.open_storage import storage_for
from transforms.sweep import sweep_temporaries

__all__ = [
    "Heartbeat",
    "Holder",
    "LeaseLostError",
    "hold_lease",
    "lease_holder",
    "raise_if_held",
    "raise_if_lost",
    "sweep_while_held",
]

DEAD_AFTER_SECONDS = 60.0
"""A run that may live on another machine is dead when nothing was heard of it for so long."""
GIVING_BACK_SECONDS = 3.0
"""So long a lease that was given back is left to its run, which removes it."""
_POLL_SECONDS = 0.1
_ATTEMPTS = 20

_logger = logging.getLogger(__name__)


@contextlib.contextmanager
def hold_lease(
    uri: str, run_id: str, *, dead_after_seconds: float = DEAD_AFTER_SECONDS
) -> Iterator[None]:
    """Hold the lease while the context is open, renewed by a thread, given back at its end.

    A dead run's lease is taken over, and the temporaries it left are removed.

    Args:
        uri: ``layout.lease_uri(root)``, or ``shards.layout.lease_uri(run)`` for a dataset.
        run_id: Name of the run; no other run has it.
        dead_after_seconds: Age at which a lease is dead whose process cannot be seen from here.

    Raises:
        PreflightError: Another run that lives has it; names it and what to do.
    """
    with storage_for(uri).new_folders(uri):
        try:
            # Within the try: Ctrl-C may come just when the lease is written.
            if _take(uri, run_id, dead_after_seconds):
                sweep_temporaries(uri)
            note_taken(uri, run_id)
            with Heartbeat(uri, run_id).held():
                yield
        finally:
            _give_back(uri, run_id)


def lease_holder(uri: str, *, dead_after_seconds: float = DEAD_AFTER_SECONDS) -> Holder | None:
    """Return the run that works there now; None when there is none, or only a dead one's lease."""
    found = read_lease(uri)
    if found is None or _age_if_live(uri, found, dead_after_seconds) is None:
        return None
    return found.holder


def raise_if_held(uri: str) -> None:
    """Raise as ``hold_lease`` would, without taking anything: the first, quick look of a run.

    Raises:
        PreflightError: Another run that lives has it.
    """
    try:
        found = read_lease(uri)
    except (StorageError, StoreAwayError):
        # The checks of the run find out why, and say what to do about it.
        return
    if found is not None:
        _raise_if_live(uri, found, DEAD_AFTER_SECONDS)


def sweep_while_held(uri: str, run_id: str) -> None:
    """Remove the temporaries that killed workers of this run left; none when it lost the lease.

    Only for a run that ends with an error: all of its workers have ended, and nothing of what they
    were just writing will be finished.
    """
    try:
        found = read_lease(uri)
        if found is not None and found.holder.run_id == run_id:
            sweep_temporaries(uri)
    except (StorageError, StoreAwayError) as error:
        # The error that ends the run is the one to tell; temporaries are hidden and do no harm.
        _logger.warning("temporary files of this run could not be removed: %s", error)


def _take(uri: str, run_id: str, dead_after_seconds: float) -> bool:
    """Take the lease; return whether it was a dead run's."""
    storage, mine = storage_for(uri), lease_bytes(new_holder(run_id))
    for _ in range(_ATTEMPTS):
        if storage.create_if_absent(uri, mine):
            return False
        found = read_lease(uri)
        if found is None:
            continue
        _raise_if_live(uri, found, dead_after_seconds)
        if found.is_given_back and _is_removed(uri, found.version):
            continue
        # Of two runs that take over at the same time one finds another version.
        if storage.replace_if(uri, mine, found.version):
            _logger.warning("%s: taken over from %s, which is gone", uri, found.holder)
            return True
    raise PreflightError(f"{uri}: changes hands too fast; end the other runs in this output")


def _is_removed(uri: str, version: str) -> bool:
    """Wait a moment; return whether a lease that was given back is gone then, or another one.

    Some stores know no condition of removing: whoever takes it too early might lose it.
    """
    deadline = time.monotonic() + GIVING_BACK_SECONDS
    while time.monotonic() < deadline:
        found = read_lease(uri)
        if found is None or found.version != version:
            return True
        time.sleep(_POLL_SECONDS)
    return False


def _raise_if_live(uri: str, found: StoredLease, dead_after_seconds: float) -> None:
    age = _age_if_live(uri, found, dead_after_seconds)
    if age is not None:
        root = uri.rpartition("/.work/")[0]
        raise PreflightError(
            f"{root}: {found.holder} works here, heard of {age:.0f} s ago; wait until it has "
            "finished, or end it and give the same command again"
        )


def _age_if_live(uri: str, found: StoredLease, dead_after_seconds: float) -> float | None:
    """Return the seconds since the holder was heard of; None when it is dead."""
    if found.is_given_back or found.holder.process.is_gone:
        return None
    try:
        age = max(0.0, store_clock(uri) - found.modified_at)
    except (StorageError, StoreAwayError):
        # Where nothing can be written, its age cannot be told: then it may live.
        return 0.0
    return age if age <= dead_after_seconds else None


def _give_back(uri: str, run_id: str) -> None:
    """Remove the lease if this run has it.

    It is marked first, by a conditional write: whatever becomes of the removal, who comes next
    knows that nobody works here, and who has taken it in between keeps it.
    """
    note_given_back(uri, run_id)
    try:
        if _mark(uri, run_id):
            found = read_lease(uri)
            # Not the lease of another run: neither now nor, where the request is sent again, then.
            if found is not None and found.holder.run_id == run_id:
                storage_for(uri).delete_if(uri, found.version)
    except (StorageError, StoreAwayError) as error:
        # Nobody is kept out by it: this process is gone in a moment.
        _logger.warning("the lease could not be given back: %s", error)


def _mark(uri: str, run_id: str) -> bool:
    """Mark the run's lease as given back; return False when the run does not have it."""
    for _ in range(_ATTEMPTS):
        found = read_lease(uri)
        if found is None or found.holder.run_id != run_id:
            return False
        content = lease_bytes(found.holder, is_given_back=True)
        # A worker may have renewed it since it was read.
        if storage_for(uri).replace_if(uri, content, found.version):
            return True
    return False
