"""Threads that wait for servers, and that a process need not wait for when it ends."""

from __future__ import annotations

import contextlib
import queue
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from transforms.models.promised import Promised

Result = TypeVar("Result")
_Call = tuple["Future[Any]", Callable[[], Any]]
_Calls = queue.SimpleQueue[_Call | None]


class DaemonPool:
    """Runs calls in up to ``num_threads`` threads.

    Python waits at its end for the threads of ``ThreadPoolExecutor``: for many minutes where a
    server is slow and an interrupted run has requests there. These end with the process, and with
    the pool when it is closed or nobody has it any more.

    Args:
        num_threads: Calls at the same time, at least 1.
        name: Of the threads.
    """

    def __init__(self, num_threads: int, name: str) -> None:
        self._num_threads = num_threads
        self._name = name
        self._calls: _Calls = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._is_closed = False
        weakref.finalize(self, _end, self._calls, self._threads)

    def submit(self, call: Callable[[], Result]) -> Future[Result]:
        """Begin a call, as soon as a thread is free.

        Raises:
            RuntimeError: The pool is closed.
        """
        future: Future[Result] = Future()
        with self._lock:
            if self._is_closed:
                raise RuntimeError("the pool is closed")
            self._calls.put((future, call))
            if len(self._threads) < self._num_threads:
                # It must not hold the pool, which nobody else might have.
                thread = threading.Thread(
                    target=_work, args=(self._calls,), daemon=True, name=self._name
                )
                self._threads.append(thread)
                thread.start()
        return future

    def close(self) -> None:
        """Cancel what has not begun and wait for the rest."""
        with self._lock:
            self._is_closed = True
        waiting = []
        with contextlib.suppress(queue.Empty):
            while True:
                waiting.append(self._calls.get_nowait())
        _end(self._calls, self._threads)
        # Without the lock: who hears of it may submit.
        for call in waiting:
            if call is not None:
                call[0].cancel()
        for thread in self._threads:
            thread.join()


def _work(calls: _Calls) -> None:
    while (found := calls.get()) is not None:
        future, call = found
        if future.set_running_or_notify_cancel():
            with Promised([future]):
                future.set_result(call())
        # Frames and answers are large; the next call may be long in coming.
        del found, future, call


def _end(calls: _Calls, threads: list[threading.Thread]) -> None:
    for _ in threads:
        calls.put(None)
