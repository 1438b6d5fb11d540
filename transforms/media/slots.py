"""Places to work: on one machine no more children decode at once than it has cores."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator

from transforms.errors import PreflightError
from transforms.machine_locks import lock_folder, open_lock_file

SLOTS_VARIABLE = "BEAM_CURATE_SLOTS"
"""Environment variable that sets the number of slots, for operators of shared machines."""
WORKERS_VARIABLE = "BEAM_CURATE_WORKERS_HERE"
"""Environment variable of a worker on a cluster: how many workers share its machine."""
POLL_SECONDS = 0.05


def num_slots() -> int:
    """Return how many children of this user may work at once on this machine.

    As many as this process may use cores, unless ``BEAM_CURATE_SLOTS`` says otherwise. All runs
    on a machine should agree on it.

    Raises:
        PreflightError: ``BEAM_CURATE_SLOTS`` is not a whole number of at least 1.
    """
    given = os.environ.get(SLOTS_VARIABLE)
    if given is None:
        return _num_cores()
    if not given.isascii() or not given.isdigit() or int(given) < 1:
        raise PreflightError(
            f"{SLOTS_VARIABLE} must be a whole number of at least 1, got {given!r}; "
            "unset it to use as many slots as there are cores"
        )
    return int(given)


def children_here(of_run: int) -> int:
    """Return how many children a worker on this machine keeps.

    Args:
        of_run: How many where the run was submitted; other machines may have more or fewer cores.
    """
    workers = os.environ.get(WORKERS_VARIABLE)
    return of_run if workers is None else -(-num_slots() // int(workers))


@contextlib.contextmanager
def slot(*, while_waiting: Callable[[], None] | None = None) -> Iterator[int]:
    """Hold one slot of this machine; yields its number. It is given back when the process ends.

    Args:
        while_waiting: Called every 50 ms as long as no slot is free.

    Raises:
        PreflightError: The folder for lock files cannot be used.
    """
    folder = lock_folder() / "slots"
    count = num_slots()
    with contextlib.ExitStack() as files:
        handles = [files.enter_context(open_lock_file(folder / str(i))) for i in range(count)]
        number = _first_free(handles)
        while number is None:
            if while_waiting is not None:
                while_waiting()
            time.sleep(POLL_SECONDS)
            number = _first_free(handles)
        yield number


def _first_free(handles: list[int]) -> int | None:
    for number, handle in enumerate(handles):
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        return number
    return None


def _num_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
