"""A file read in blocks: the same bytes as the object, few requests, never another version."""

from __future__ import annotations

import io
import random
from collections.abc import Callable

import pytest

from transforms.storage.block_reader import BLOCK_BYTES, BlockReader
from transforms.storage.interface import StorageError


class Served:
    """An object and the requests that came for it."""

    def __init__(self, content: bytes, cut: int = 0) -> None:
        self.content = content
        self.cut = cut
        """Bytes that are missing at the end of every answer but the first."""
        self.requests: list[tuple[int, int]] = []

    def fetch(self, start: int, length: int) -> tuple[bytes, int]:
        self.requests.append((start, length))
        data = self.content[start : start + length]
        if self.cut and len(self.requests) > 1:
            data = data[: -self.cut]
        return data, len(self.content)

    def open(self, **options: int) -> BlockReader:
        return BlockReader(self.fetch, name="s3://b/k", **options)


def test_every_way_of_reading_gives_the_bytes_of_the_object() -> None:
    random_numbers = random.Random(5)
    content = random_numbers.randbytes(1000)
    file, expected = Served(content).open(block_bytes=64, max_blocks=3), io.BytesIO(content)
    for _ in range(2000):
        whence = random_numbers.choice((io.SEEK_SET, io.SEEK_END, io.SEEK_CUR))
        offset = random_numbers.randrange(-200, 1200)
        if whence == io.SEEK_SET and offset < 0:
            continue
        position = {io.SEEK_SET: 0, io.SEEK_END: 1000, io.SEEK_CUR: expected.tell()}[whence]
        if position + offset < 0:
            with pytest.raises(ValueError, match="at least 0"):
                file.seek(offset, whence)
            continue
        assert file.seek(offset, whence) == expected.seek(offset, whence)
        length = random_numbers.choice((0, 1, 7, 64, 65, 300, -1))
        assert file.read(length) == expected.read(length)
        assert file.tell() == expected.tell()


@pytest.mark.parametrize("num_bytes", [0, 1, 63, 64, 65, 128])
def test_borders(num_bytes: int) -> None:
    content = bytes(range(num_bytes))
    file = Served(content).open(block_bytes=64)
    assert (file.num_bytes, file.read(), file.read(1)) == (num_bytes, content, b"")


def test_the_head_and_the_index_at_the_end_take_two_requests() -> None:
    served = Served(bytes(50_000_000))
    with served.open() as file:
        file.read(32)
        file.read(60_000)
        file.seek(-40_000, io.SEEK_END)
        file.read()
        file.seek(0)
        file.read(100_000)
    assert len(served.requests) == 2
    assert sum(length for _, length in served.requests) <= 2 * BLOCK_BYTES


def test_who_reads_on_gets_more_with_each_request() -> None:
    served = Served(bytes(64 * 100))
    file = served.open(block_bytes=64)
    while file.read(10):
        pass
    assert served.requests[:4] == [(0, 64), (64, 64), (128, 64), (192, 64)]
    assert served.requests[4] == (256, 8 * 64)
    assert len(served.requests) == 4 + 12
    file.seek(64 * 50)
    file.read(1)
    assert served.requests[-1] == (64 * 50, 64), "a jump is read with care again"


def test_memory_stays_bounded() -> None:
    served = Served(bytes(64 * 100))
    file = served.open(block_bytes=64, max_blocks=4)
    while file.read(64):
        pass
    assert len(file._blocks) == 4
    file.close()
    assert not file._blocks
    with pytest.raises(ValueError, match="closed"):
        file.readinto(bytearray(1))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda served: setattr(served, "cut", 1), "needed 64 bytes at 64, got 63"),
        (lambda served: setattr(served, "content", bytes(300)), "was replaced while it was read"),
    ],
)
def test_what_is_not_what_was_asked_for_is_refused(
    change: Callable[[Served], None], message: str
) -> None:
    served = Served(bytes(256))
    file = served.open(block_bytes=64)
    change(served)
    file.seek(64)
    with pytest.raises(StorageError, match=message):
        file.read(1)
