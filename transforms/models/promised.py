"""Futures that are kept, whatever happens on the way."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from types import TracebackType
from typing import Any


class Promised:
    """Hands what goes wrong in a block on to whoever waits for its results.

    Where a thread or a callback ends with an error, Python logs it and nobody is told.

    Args:
        futures: What the block is to finish, in any state.
    """

    def __init__(self, futures: Sequence[Future[Any]]) -> None:
        self._futures = futures

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        if error is not None:
            for future in self._futures:
                if future.running() or (
                    not future.done() and future.set_running_or_notify_cancel()
                ):
                    future.set_exception(error)
        return True
