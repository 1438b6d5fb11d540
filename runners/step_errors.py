"""What really happened when Beam says that a step failed.

In this process Beam raises a copy of the exception with the step's name appended, or a
RuntimeError where it cannot copy it: so Ctrl-C comes out as a RuntimeError. From a worker process
comes a RuntimeError whose text is the worker's traceback.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from transforms.errors import CurateError

_STEP = re.compile(r"( \[while running '[^']*'\])+\s*$")
_FOREIGN = re.compile(r"\n\s+at [\w.$/]+\(|\nCaused by: ")
"""Where Java's part of a report begins."""
_TRACEBACK = "Traceback (most recent call last):"


def original_error(error: BaseException) -> CurateError | KeyboardInterrupt | None:
    """Return the error that this program or its user raised; None for anything unexpected."""
    if getattr(error, "_tagged_with_step", False):
        first = error.__context__
        return first if isinstance(first, CurateError | KeyboardInterrupt) else None
    return _from_traceback(str(error))


def error_in_text(text: str) -> CurateError | None:
    """Return the error of this program that a runner's report tells of, if any.

    Args:
        text: May hold a worker's traceback, and another language's around it.
    """
    start = text.find(_TRACEBACK)
    if start < 0:
        return None
    return _from_traceback(_FOREIGN.split(text[start:])[0])


def _from_traceback(text: str) -> CurateError | None:
    """Return the error that a worker's traceback ends with, if it is one of this program's."""
    if not text.startswith(_TRACEBACK):
        return None
    # Of several chained tracebacks the last one tells what was raised in the end.
    end = text.rpartition(_TRACEBACK)[2]
    for kind in _known(CurateError):
        name = re.escape(f"{kind.__module__}.{kind.__qualname__}")
        match = re.search(rf"^(?:RuntimeError: )?{name}: (.*)", end, re.MULTILINE | re.DOTALL)
        if match:
            # Not all kinds can be made from their message; what counts now is the message.
            return CurateError(_STEP.sub("", match.group(1)).strip())
    return None


def _known(kind: type[CurateError]) -> Iterator[type[CurateError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from _known(below)
