"""Keeping a lease alive while work goes on, and noticing when another run has taken it."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator

from transforms.errors import CurateError
from transforms.lease_file import Holder, lease_bytes, read_lease
from transforms.storage.open_storage import storage_for

BEAT_SECONDS = 10.0
_ATTEMPTS = 5

_logger = logging.getLogger(__name__)


class LeaseLostError(CurateError):
    """Another run has taken over the output; nothing more may be committed to it."""


class Heartbeat:
    """Renews the lease of a run from a thread; one per process, lease and run, however many ask.

    The driver holds one for the whole run. Workers hold one while they have a bundle open, so that
    the lease also lives where the driver is gone. It may be pickled while it is stopped.

    Args:
        uri: The lease.
        run_id: The run; an empty one renews nothing (a stage that runs outside of a run).
    """

    def __init__(self, uri: str, run_id: str) -> None:
        self._uri = uri
        self._run_id = run_id
        self._is_held = False

    def start(self) -> None:
        """Begin to renew; nothing happens when it goes on already."""
        if self._run_id and not self._is_held:
            self._is_held = True
            _hold(self._uri, self._run_id)

    def stop(self) -> None:
        """Renew no more, unless others in this process do; may be called twice."""
        if self._is_held:
            self._is_held = False
            _release(self._uri, self._run_id)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Renew while the context is open."""
        self.start()
        try:
            yield
        finally:
            self.stop()


def raise_if_lost(uri: str, run_id: str) -> None:
    """Raise before a commit when a heartbeat of this process found that the run has no lease.

    Raises:
        LeaseLostError: Names who has it now, if there is anybody.
    """
    with _lock:
        is_lost = (uri, run_id) in _lost
        taker = _lost.get((uri, run_id))
    if is_lost and taker is None:
        raise LeaseLostError(
            f"{uri}: run {run_id} does not have it any more: the run was ended, or another one "
            "took over, because nothing was heard of this one for too long, and has finished; what "
            "is committed stays, and the same command does what is left"
        )
    if taker is not None:
        raise LeaseLostError(
            f"{uri}: {taker} has taken over this output, because nothing was heard of run "
            f"{run_id} for too long; what is committed stays, and the other run does the rest"
        )


class _Thread:
    """The thread that renews one lease for one run."""

    def __init__(self, uri: str, run_id: str) -> None:
        self.num_users = 0
        self._uri = uri
        self._run_id = run_id
        self._stopped = threading.Event()
        # Like every helper thread here a daemon: it must not keep a dying process alive.
        self._thread = threading.Thread(target=self._run, name="lease", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                is_lost = not renew(self._uri, self._run_id)
            except CurateError as error:
                # A store that is away for a moment ends no run: the lease only grows older.
                _logger.warning("the lease of this run cannot be renewed now: %s", error)
                is_lost = False
            if is_lost:
                return
            self._stopped.wait(BEAT_SECONDS)


_Key = tuple[str, str]
"""(URI of a lease, run id)."""
_lock = threading.Lock()
_threads: dict[_Key, _Thread] = {}
_had: set[_Key] = set()
"""Leases that this process has seen in the hands of their run, and has not given back."""
_lost: dict[_Key, Holder | None] = {}
"""Who had it instead; None: nobody."""


def renew(uri: str, run_id: str) -> bool:
    """Renew the lease once; return False when the run has lost it, which is then remembered.

    It has when another run has it, and when there is none any more although this process has seen
    it and did not give it back: who took it may have finished.
    """
    for _ in range(_ATTEMPTS):
        found = read_lease(uri)
        if found is not None and found.holder.run_id != run_id:
            with _lock:
                _lost[(uri, run_id)] = found.holder
            return False
        if found is None or found.is_given_back:
            return _is_right_to_be_gone((uri, run_id))
        # Somebody may have renewed or taken it since it was read: then look again.
        if storage_for(uri).replace_if(uri, lease_bytes(found.holder), found.version):
            note_taken(uri, run_id)
            return True
    return True


def note_taken(uri: str, run_id: str) -> None:
    """Remember that the run has the lease: from now on it is lost when it is gone."""
    with _lock:
        _had.add((uri, run_id))


def note_given_back(uri: str, run_id: str) -> None:
    """Remember that the run does not need the lease any more."""
    with _lock:
        _had.discard((uri, run_id))


def _is_right_to_be_gone(key: _Key) -> bool:
    with _lock:
        if key not in _had:
            return True
        _lost[key] = None
        return False


def _hold(uri: str, run_id: str) -> None:
    key = (uri, run_id)
    with _lock:
        is_new = key not in _threads
        thread = _threads.setdefault(key, _Thread(uri, run_id))
        thread.num_users += 1
        if is_new:
            thread.start()


def _release(uri: str, run_id: str) -> None:
    key = (uri, run_id)
    with _lock:
        thread = _threads[key]
        thread.num_users -= 1
        if thread.num_users:
            return
        del _threads[key]
    thread.stop()
