"""The file of one embedding: a pickled numpy array, as upstream writes it (contract §1.16).

It is written and read without the pickle module, whose bytes depend on numpy's version and whose
reader runs what the file says: a file is only ever taken for ours if it equals what we would write.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

DTYPES: dict[str, np.dtype[Any]] = {"float32": np.dtype("<f4"), "float16": np.dtype("<f2")}
MAX_DIMENSIONS = 65536
"""Longest vector that is read."""
_PROTOCOL = b"\x80\x03"
_HEAD = (
    _PROTOCOL
    # numpy 1 and 2 both know this name.
    + b"cnumpy.core.multiarray\n_reconstruct\n"
    + b"cnumpy\nndarray\n"
    # An array of no size and type bytes, filled in by what follows.
    + b"K\x00\x85"
    + b"C\x01b"
    + b"\x87R"
    + b"(K\x01"
)
_DTYPE = (
    b"cnumpy\ndtype\nX\x02\x00\x00\x00%b\x89\x88\x87R"
    + b"(K\x03X\x01\x00\x00\x00<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
)
"""Little endian, no fields; ``%b`` stands for f4 or f2."""
_DATA = b"\x89B"
"""In C order; then the bytes with their number in front."""
_TAIL = b"tb."


def vector_bytes(vector: NDArray[Any]) -> bytes:
    """Return the file of a vector, which ``pickle.load`` reads.

    Args:
        vector: float32 or float16; shape (D,) or (1, D), D from 1 to 65536.

    Raises:
        ValueError: It is another array.
    """
    if vector.dtype.name not in DTYPES or not _is_vector(vector.shape):
        raise ValueError(
            "an embedding is float32 or float16 of shape (D,) or (1, D), "
            f"got {vector.dtype} of shape {vector.shape}"
        )
    dtype = DTYPES[vector.dtype.name]
    data = np.ascontiguousarray(vector, dtype=dtype).tobytes()
    return _before(vector.shape, dtype) + struct.pack("<I", len(data)) + data + _TAIL


def read_vector(content: bytes) -> NDArray[Any]:
    """Return the vector of a file that ``vector_bytes`` made.

    Raises:
        ValueError: The file is another one.
    """
    for dtype in DTYPES.values():
        # The length of the file tells the number of dimensions, and the start of it the shape.
        for leading in ((), (1,)):
            overhead = len(_before((*leading, 1), dtype)) + 4 + len(_TAIL)
            dimensions, rest = divmod(len(content) - overhead, dtype.itemsize)
            shape = (*leading, dimensions)
            if rest or not _is_vector(shape):
                continue
            start = len(_before(shape, dtype)) + 4
            vector = np.frombuffer(content[start : -len(_TAIL)], dtype).reshape(shape)
            if vector_bytes(vector) == content:
                return vector
    raise ValueError("is no embedding that this program wrote")


def _is_vector(shape: tuple[int, ...]) -> bool:
    is_row = len(shape) == 1 or (len(shape) == 2 and shape[0] == 1)
    return is_row and 1 <= shape[-1] <= MAX_DIMENSIONS


def _before(shape: tuple[int, ...], dtype: np.dtype[Any]) -> bytes:
    numbers = b"".join(b"J" + struct.pack("<i", number) for number in shape)
    tuples = {1: b"\x85", 2: b"\x86"}
    code = dtype.str[1:].encode()
    return _HEAD + numbers + tuples[len(shape)] + _DTYPE.replace(b"%b", code) + _DATA
