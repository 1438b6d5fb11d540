"""Many small reads one after another, several under way where each is a request to a server."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

from transforms.storage.uris import scheme_of

READS_AT_ONCE = 16
BLOCK_SIZE = 256
"""Results that may wait for whoever takes them, so that memory does not grow with their number."""

Item = TypeVar("Item")
Result = TypeVar("Result")


def read_ahead(
    read: Callable[[Item], Result], items: Iterable[Item], root: str
) -> Iterator[Result]:
    """Yield ``read(item)`` for each item, in order.

    Args:
        read: Reads objects below ``root``; called from several threads unless that is a local
            folder, where threads would only wait for one another.
        items: Taken a block at a time.
        root: Where the objects lie.
    """
    if not scheme_of(root):
        yield from map(read, items)
        return
    waiting = iter(items)
    with ThreadPoolExecutor(READS_AT_ONCE) as pool:
        while block := list(islice(waiting, BLOCK_SIZE)):
            yield from pool.map(read, block)
