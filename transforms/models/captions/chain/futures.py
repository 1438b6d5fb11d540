"""One request after another without a thread that waits between them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from concurrent.futures import Future
from types import TracebackType

from transforms.records import CaptionAnswer

Answer = Future[CaptionAnswer]
Next = Callable[[CaptionAnswer], CaptionAnswer | Answer]


def then(first: Answer, follow: Next) -> Answer:
    """Return the answer that ``follow`` makes of the first one, or asks for with it.

    ``follow`` runs in the thread that finishes ``first`` and must not wait. What goes wrong in
    either is what goes wrong in the result; cancelling the result cancels what is open of both.
    """
    result: Answer = Future()
    result.add_done_callback(functools.partial(_cancel_too, first))
    first.add_done_callback(functools.partial(_go_on, follow, result))
    return result


def answered(answer: CaptionAnswer) -> Answer:
    """Return an answer that is there already."""
    future: Answer = Future()
    future.set_result(answer)
    return future


class _Into:
    """Hands an error on to a future: a callback's own error would be logged and lost."""

    def __init__(self, result: Answer) -> None:
        self._result = result

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        if error is not None and self._result.set_running_or_notify_cancel():
            self._result.set_exception(error)
        return True


def _go_on(follow: Next, result: Answer, first: Answer) -> None:
    if result.cancelled() or first.cancelled() or first.exception() is not None:
        _hand_on(result, first)
        return
    with _Into(result):
        second = follow(first.result())
        if not isinstance(second, Future):
            second = answered(second)
        result.add_done_callback(functools.partial(_cancel_too, second))
        second.add_done_callback(functools.partial(_hand_on, result))


def _hand_on(result: Answer, done: Answer) -> None:
    if done.cancelled():
        result.cancel()
    # False: the result was cancelled meanwhile; nobody wants it.
    if not result.set_running_or_notify_cancel():
        return
    error = done.exception()
    if error is not None:
        result.set_exception(error)
    else:
        result.set_result(done.result())


def _cancel_too(open_one: Answer, result: Answer) -> None:
    if result.cancelled():
        open_one.cancel()
