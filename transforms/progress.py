"""Counters that workers append to files of their own and the command line adds up."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import socket
import threading
import time
import uuid
from collections import Counter
from pathlib import Path

from transforms.errors import CurateError
from transforms.json_files import read_json_if_there, write_json
from transforms.storage.interface import StorageError, StoreAwayError
from transforms.storage.open_storage import storage_for
from transforms.storage.uris import join, scheme_of

READ_EVERY_SECONDS = 10.0
"""Counters in an object store are read no more often than that."""
MOMENT = "first_"
"""Names that begin so are moments, seconds since the epoch: the earliest counts, not the sum."""


class Counters:
    """One process's counters in one folder.

    Each process appends lines of deltas, such as ``{"clips_written": 3}``, to one file of its own,
    so no two writers ever meet. Lines are written at most every half second; what waits is written
    by a timer, at :meth:`close` and at the end of the process. A killed process loses at most its
    last half second.

    Args:
        folder: Folder of the counters' files that all processes see as a local one; made when it
            is missing.
    """

    write_every_seconds = 0.5

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.pid = os.getpid()
        self._name = f"{socket.gethostname()}-{self.pid}-{uuid.uuid4().hex}.jsonl"
        self._lock = threading.Lock()
        self._waiting: Counter[str] = Counter()
        self._moments: set[str] = set()
        self._written_at = 0.0
        self._timer: threading.Timer | None = None

    def mark(self, name: str) -> None:
        """Note when something came about for the first time in this process."""
        with self._lock:
            if name not in self._moments:
                self._moments.add(name)
                self._waiting.update({MOMENT + name: time.time()})
                self._write()

    def add(self, **deltas: float) -> None:
        """Add to the counters, e.g. ``add(clips_written=1, seconds_cut=10.0)``."""
        with self._lock:
            self._waiting.update(deltas)
            wait = self._written_at + self.write_every_seconds - time.monotonic()
            if wait <= 0:
                self._write()
            elif self._timer is None:
                self._timer = threading.Timer(wait, self._write_in_time)
                self._timer.daemon = True
                self._timer.start()

    def flush(self) -> None:
        """Write what waits."""
        with self._lock:
            self._write()

    def close(self) -> None:
        """Write what waits and stop the timer; :meth:`add` may be called again."""
        self.flush()

    def forget(self) -> None:
        """Drop what waits; nothing is written any more unless something is added."""
        with self._lock:
            self._stop_timer()
            self._waiting.clear()

    def _write_in_time(self) -> None:
        # Nobody sees an exception of a timer; what waits stays, and the next write raises it.
        with contextlib.suppress(CurateError):
            self.flush()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _write(self) -> None:
        self._stop_timer()
        if not self._has_unwritten():
            return
        self._store(dict(self._waiting))
        self._waiting.clear()
        self._written_at = time.monotonic()

    def _has_unwritten(self) -> bool:
        return bool(self._waiting)

    def _store(self, deltas: dict[str, float]) -> None:
        path = Path(self.folder) / self._name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # One write of one short line to a file opened for appending: readers see whole lines.
            with path.open("ab", buffering=0) as file:
                file.write((json.dumps(deltas, sort_keys=True) + "\n").encode())
        except OSError as error:
            raise CurateError(f"{path}: {error.strerror}") from error


class StoredCounters(Counters):
    """One process's counters in an object store, where nothing can be appended.

    Each process replaces one object of its own, which holds its totals, every 15 seconds at most.
    """

    write_every_seconds = 15.0

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self._totals: dict[str, float] = {}
        self._is_behind = False
        """Whether the object lacks totals, because the store was away."""

    def _has_unwritten(self) -> bool:
        return self._is_behind or super()._has_unwritten()

    def _store(self, deltas: dict[str, float]) -> None:
        add_totals(self._totals, deltas)
        self._is_behind = True
        # A store that is away for a moment ends no run: the next totals hold these too.
        with contextlib.suppress(StorageError, StoreAwayError):
            write_json(join(self.folder, self._name), self._totals)
            self._is_behind = False


_counters: dict[str, Counters] = {}
_counters_lock = threading.Lock()


def count(folder: str, **deltas: float) -> None:
    """Add to this process's counters in ``folder``; callable from any thread."""
    _counters_in(folder).add(**deltas)


def _counters_in(folder: str) -> Counters:
    with _counters_lock:
        counters = _counters.get(folder)
        # A forked child has its parent's counters; it needs a file of its own.
        if counters is None or counters.pid != os.getpid():
            kind = StoredCounters if scheme_of(folder) else Counters
            counters = _counters[folder] = kind(folder)
    return counters


def mark_first(folder: str, name: str) -> None:
    """Note when something came about for the first time, e.g. ``mark_first(folder, "clip")``.

    What is read back under ``first_{name}`` is the earliest such moment of all processes, by the
    clocks of their machines. Callable from any thread.
    """
    _counters_in(folder).mark(name)


def flush_counts() -> None:
    """Write what waits in this process, for every folder."""
    for counters in list(_counters.values()):
        if counters.pid == os.getpid():
            counters.close()


def forget_counts(folder: str) -> None:
    """Drop what waits in this process for a folder that is about to be removed."""
    counters = _counters.pop(folder, None)
    if counters is not None:
        counters.forget()


atexit.register(flush_counts)


class TotalsReader:
    """Adds up the counters' files of a folder, reading only what is new since the last time."""

    def __init__(self, folder: str) -> None:
        self._uri = folder
        self._folder = Path(folder)
        self._read_at = -READ_EVERY_SECONDS
        self._offsets: dict[Path, int] = {}
        self._totals: dict[str, float] = {}

    def read(self) -> dict[str, float]:
        """Return the totals so far; empty while there is no file.

        Those of a store are as they were read last: every ten seconds, and when it was not away.
        """
        if scheme_of(self._uri):
            return self._read_stored()
        for path in sorted(self._folder.glob("*.jsonl")):
            with path.open("rb") as file:
                file.seek(self._offsets.get(path, 0))
                data = file.read()
            # The last line may still be on its way.
            whole = data[: data.rfind(b"\n") + 1]
            self._offsets[path] = self._offsets.get(path, 0) + len(whole)
            for line in whole.splitlines():
                add_totals(self._totals, json.loads(line))
        return dict(self._totals)

    def _read_stored(self) -> dict[str, float]:
        if time.monotonic() - self._read_at >= READ_EVERY_SECONDS:
            with contextlib.suppress(StorageError, StoreAwayError):
                self._totals = _stored_totals(self._uri)
            self._read_at = time.monotonic()
        return dict(self._totals)


def _stored_totals(folder: str) -> dict[str, float]:
    totals: dict[str, float] = {}
    for stat in storage_for(folder).list(folder):
        add_totals(totals, read_json_if_there(stat.uri) or {})
    return totals


def add_totals(totals: dict[str, float], more: dict[str, float]) -> None:
    """Add counters to ``totals``; of moments the earliest stays.

    Example:
        >>> totals = {"clips_written": 2, "first_clip": 20.0}
        >>> add_totals(totals, {"clips_written": 1, "first_clip": 10.0})
        >>> totals
        {'clips_written': 3, 'first_clip': 10.0}
    """
    for name, value in more.items():
        if name.startswith(MOMENT):
            totals[name] = min(totals.get(name, value), value)
        else:
            totals[name] = totals.get(name, 0) + value


def read_totals(folder: str) -> dict[str, float]:
    """Return the sum of all counters' files in ``folder``.

    Raises:
        StorageError: They cannot be read.
        StoreAwayError: The store cannot be reached, or refuses everything.
    """
    return _stored_totals(folder) if scheme_of(folder) else TotalsReader(folder).read()
