"""Run two writers step by step: each waits before every call of the storage for its turn."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any

from transforms.storage.local import LocalStorage

Schedule = Iterable[int]
"""Whose turn it is, number by number."""

_here = threading.local()
_PATIENCE_SECONDS = 30.0


class _DiedError(BaseException):
    """What ends a writer that dies; nothing of the program catches it."""


class Writer:
    """One writer in a thread of its own."""

    def __init__(self, work: Callable[[], Any], *, dies_at: int | None = None) -> None:
        self.result: Any = None
        self.error: Exception | None = None
        self.died = False
        self.num_steps = 0
        self.is_done = False
        self._work = work
        self._dies_at = dies_at
        self._turn = threading.Semaphore(0)
        self._back = threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def step(self) -> None:
        """Let it go on up to its next call of the storage, or to its end."""
        self._turn.release()
        if not self._back.acquire(timeout=_PATIENCE_SECONDS):
            raise RuntimeError("a writer neither called the storage nor ended")
        if self.is_done:
            self._thread.join()

    def pause(self) -> None:
        """Called in its own thread before each call of the storage."""
        self.num_steps += 1
        if self.num_steps == self._dies_at:
            raise _DiedError
        self._back.release()
        self._turn.acquire()

    def _run(self) -> None:
        self._turn.acquire()
        _here.writer = self
        try:
            self.result = self._work()
        except _DiedError:
            self.died = True
        except Exception as error:  # noqa: BLE001 - told to the test by ``run_together``
            self.error = error
        self.is_done = True
        self._back.release()


def run_together(writers: list[Writer], schedule: Schedule, *, then: int = 0) -> bool:
    """Run the writers in the order of the schedule, then writer ``then`` to its end, then the rest.

    Returns whether the schedule gave a turn to a writer that had ended already.
    """
    was_idle = False
    for number in schedule:
        if writers[number].is_done:
            was_idle = True
        else:
            writers[number].step()
    for writer in (writers[then], *writers):
        while not writer.is_done:
            writer.step()
    for writer in writers:
        if writer.error is not None:
            raise writer.error
    return was_idle


class StepStorage:
    """Local storage of which every call is a step; remembers the calls by name."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self._storage = LocalStorage()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._storage, name)

        def call(*arguments: Any, **named: Any) -> Any:
            self.calls.append(name)
            writer = getattr(_here, "writer", None)
            if writer is not None:
                writer.pause()
            result = method(*arguments, **named)
            # A listing is one step: what it tells is of one moment.
            return list(result) if name == "list" else result

        return call
