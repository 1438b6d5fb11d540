"""Reads under way at once come back in order, and errors come out where they belong."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from transforms.storage.ahead import BLOCK_SIZE, READS_AT_ONCE, read_ahead


class Server:
    """Answers after a moment; counts who asks at the same time."""

    def __init__(self) -> None:
        self.most_at_once = self._now = 0
        self._lock = threading.Lock()

    def read(self, number: int) -> int:
        with self._lock:
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
        time.sleep(0.002 * (number % 3))
        with self._lock:
            self._now -= 1
        if number == 300:
            raise ValueError(f"no {number}")
        return -number


@pytest.mark.parametrize(("root", "at_once"), [("s3://bucket/x", READS_AT_ONCE), ("/folder", 1)])
def test_results_come_in_order(root: str, at_once: int) -> None:
    server = Server()
    assert list(read_ahead(server.read, range(280), root)) == [-number for number in range(280)]
    assert (server.most_at_once > 1) == (at_once > 1)
    assert server.most_at_once <= at_once


@pytest.mark.parametrize("root", ["s3://bucket/x", "/folder"])
def test_an_error_comes_behind_the_results_before_it(root: str) -> None:
    found: list[int] = []
    with pytest.raises(ValueError, match=r"^no 300$"):
        found.extend(read_ahead(Server().read, range(310), root))
    assert found == [-number for number in range(300)]


def test_items_are_taken_a_block_at_a_time() -> None:
    taken = []

    def items() -> Iterator[int]:
        for number in range(10 * BLOCK_SIZE):
            taken.append(number)
            yield number

    results = read_ahead(lambda number: number, items(), "s3://bucket/x")
    assert next(results) == 0
    assert len(taken) == BLOCK_SIZE
    results.close()
