"""One request after another without a thread that waits between them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from concurrent.futures import Future

from transforms.models.promised import Promised
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


def _go_on(follow: Next, result: Answer, first: Answer) -> None:
    if result.cancelled() or first.cancelled() or first.exception() is not None:
        _hand_on(result, first)
        return
    with Promised([result]):
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
