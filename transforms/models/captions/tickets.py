"""Open requests of this process: steps hand on tickets, because a future cannot be pickled."""

from __future__ import annotations

import threading
import uuid
from concurrent.futures import Future
from dataclasses import dataclass

from transforms.records import CaptionAnswer


@dataclass(frozen=True, slots=True)
class Ticket:
    """Stands for one open request."""

    number: str


_lock = threading.Lock()
_open: dict[str, Future[CaptionAnswer]] = {}


def put(future: Future[CaptionAnswer]) -> Ticket:
    """Return a ticket for an open request."""
    ticket = Ticket(uuid.uuid4().hex)
    with _lock:
        _open[ticket.number] = future
    return ticket


def take(ticket: Ticket) -> Future[CaptionAnswer]:
    """Return the request of a ticket, which is used up.

    Raises:
        RuntimeError: It was taken before, or was given out by another process: the steps that
            submit and collect captions must be fused.
    """
    with _lock:
        future = _open.pop(ticket.number, None)
    if future is None:
        raise RuntimeError("a caption's ticket is not of this process, or was taken before")
    return future


def num_open() -> int:
    """Return how many tickets wait to be taken."""
    with _lock:
        return len(_open)
