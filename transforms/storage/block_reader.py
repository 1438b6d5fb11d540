"""A seekable file over an object of a store, read in blocks.

FFmpeg reads the head of a file, jumps to its index, and then to keyframes. Blocks of 256 KiB keep
both the number of requests and the bytes small: the header of a 50 MB mp4 takes 2 requests. Who
reads on and on (a file without an index, a hash) gets eight blocks with each request.
"""

from __future__ import annotations

import io
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING

from transforms.storage.interface import StorageError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

BLOCK_BYTES = 256 * 1024
MAX_BLOCKS = 16
READ_AHEAD_AFTER = 4
"""So many requests for blocks that follow one another make a sequential read."""
READ_AHEAD_BLOCKS = 8

Fetch = Callable[[int, int], tuple[bytes, int]]
"""From (start, length) to (the bytes ``[start, start + length)``, size of the object in bytes).

Fewer bytes only at the object's end. Every call must read the same version of the object.
"""


class BlockReader(io.RawIOBase):
    """Reads an object in aligned blocks and keeps the last few of them.

    The first block is fetched at once: a missing object shows when it is opened. A read returns
    fewer bytes than asked for only at the object's end.

    Args:
        fetch: Reads from the store.
        name: URI, for errors and for ``name`` of the file.
        block_bytes: Size of a block.
        max_blocks: How many blocks are kept, at least 1.

    Raises:
        StorageError: The store's answer has another length than was asked for, or ``fetch`` raises.
    """

    def __init__(
        self,
        fetch: Fetch,
        *,
        name: str,
        block_bytes: int = BLOCK_BYTES,
        max_blocks: int = MAX_BLOCKS,
    ) -> None:
        super().__init__()
        self.name = name
        self._fetch = fetch
        self._block_bytes = block_bytes
        self._max_blocks = max_blocks
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._position = 0
        self._next_index = 1
        self._num_in_a_row = 1
        first, self._size = fetch(0, block_bytes)
        self._keep(0, first)

    @property
    def num_bytes(self) -> int:
        """Size of the object."""
        return self._size

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position, in bytes from the object's start."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Set the position, which may lie beyond the end, and return it."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        if start + offset < 0:
            raise ValueError(f"{self.name}: needed a position of at least 0, got {start + offset}")
        self._position = start + offset
        return self._position

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Fill the buffer as far as the object goes; return the number of bytes."""
        if self.closed:
            raise ValueError(f"{self.name}: is closed")
        view = memoryview(buffer).cast("B")
        done = 0
        while done < len(view) and self._position < self._size:
            index, offset = divmod(self._position, self._block_bytes)
            part = self._block(index)[offset : offset + len(view) - done]
            view[done : done + len(part)] = part
            done += len(part)
            self._position += len(part)
        return done

    def close(self) -> None:
        """Forget the blocks."""
        self._blocks.clear()
        super().close()

    def _block(self, index: int) -> bytes:
        found = self._blocks.get(index)
        if found is not None:
            self._blocks.move_to_end(index)
            return found
        num_blocks = self._num_to_fetch(index)
        start = index * self._block_bytes
        data, size = self._fetch(start, num_blocks * self._block_bytes)
        if size != self._size:
            raise StorageError(
                f"{self.name}: had {self._size} bytes, now has {size}: it was replaced while it "
                "was read; run again"
            )
        # The last first, so that the one that is wanted now is the youngest.
        for number in reversed(range(num_blocks)):
            offset = number * self._block_bytes
            if number == 0 or offset < len(data):
                block = self._keep(index + number, data[offset : offset + self._block_bytes])
        return block

    def _num_to_fetch(self, index: int) -> int:
        self._num_in_a_row = self._num_in_a_row + 1 if index == self._next_index else 1
        ahead = min(READ_AHEAD_BLOCKS, self._max_blocks)
        num_blocks = ahead if self._num_in_a_row > READ_AHEAD_AFTER else 1
        self._next_index = index + num_blocks
        return num_blocks

    def _keep(self, index: int, data: bytes) -> bytes:
        expected = min(self._block_bytes, self._size - index * self._block_bytes)
        if len(data) != max(0, expected):
            raise StorageError(
                f"{self.name}: needed {expected} bytes at {index * self._block_bytes}, "
                f"got {len(data)}"
            )
        self._blocks[index] = data
        while len(self._blocks) > self._max_blocks:
            self._blocks.popitem(last=False)
        return data
