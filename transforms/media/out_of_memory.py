"""Memory that ran out is no fault of the input that was being read when it did."""

from __future__ import annotations

import errno

from transforms.media.child_limits import MIB, memory_left

OUT_OF_MEMORY_STATUS = 77
"""Exit status of a child that could not get the memory it asked for."""

SCARCE_BYTES = 64 * MIB
"""With less than this left, an encoder that fails without a reason has failed for want of it."""


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether the error, or one that it was raised for, says that memory ran out.

    Python says so by MemoryError, the system and FFmpeg by ENOMEM.
    """
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        if isinstance(cause, MemoryError) or getattr(cause, "errno", None) == errno.ENOMEM:
            return True
        seen.add(id(cause))
        cause = cause.__cause__ or cause.__context__
    return False


def raise_if_out_of_memory(error: BaseException) -> None:
    """Let an error that blames an input through only if memory was not what was missing.

    Raises:
        MemoryError: It was.
    """
    if is_out_of_memory(error):
        raise MemoryError("not enough memory") from error


def raise_if_memory_is_scarce(error: BaseException) -> None:
    """Let an error of a library that keeps its reasons to itself through only if memory is left.

    x264, for one, calls every failure alike. To be called while the library's memory is still held.

    Raises:
        MemoryError: Hardly any memory is left to this process.
    """
    if memory_left() < SCARCE_BYTES:
        raise MemoryError("hardly any memory is left") from error
