"""Local copies of sources that lie in a store: fetched once for all that is done with them.

A long video is cut in many runs and scored in many segments. Its copy is shared by everything in
this process that works on it at the same time, and kept for what comes next until two others have
come after it.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from transforms.run_context import RunContext
from transforms.scratch import scratch_here
from transforms.storage.open_storage import storage_for
from transforms.storage.scratch_copy import ScratchError
from transforms.storage.uris import scheme_of

MAX_IDLE = 2
"""Copies that are kept though nobody uses them now."""


@dataclass(eq=False)
class _Copy:
    key: tuple[str, str]
    resources: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    fetching: threading.Lock = field(default_factory=threading.Lock)
    path: Path | None = None
    num_users: int = 0


_lock = threading.Lock()
_copies: dict[tuple[str, str], _Copy] = {}
"""By URI and scratch folder; what was used last comes last."""


def sources_folder(context: RunContext) -> Path:
    """Return where the copies of this process lie."""
    return scratch_here(context.scratch) / f"worker-{os.getpid()}" / "sources"


@contextlib.contextmanager
def local_source(uri: str, scratch: Path) -> Iterator[Path]:
    """Yield a local path of a source: the file itself, or a copy below ``scratch``.

    Args:
        uri: The video.
        scratch: Folder for the copy, gone when the run is.

    Raises:
        StorageError: It cannot be read.
        ScratchError: Scratch has no room for it, or cannot be written to.
    """
    if not scheme_of(uri):
        with storage_for(uri).local_file(uri, scratch) as path:
            yield path
        return
    copy = _taken((uri, str(scratch)))
    try:
        yield _fetched(copy)
    finally:
        with _lock:
            copy.num_users -= 1
        drop_idle(MAX_IDLE)


def drop_idle(keep: int = 0) -> int:
    """Remove the copies that nobody uses, but for the last ``keep``; return how many were."""
    with _lock:
        # One that could not be fetched, or whose folder is gone, is of no use to anybody.
        idle = [copy for copy in _copies.values() if not copy.num_users]
        broken = [copy for copy in idle if copy.path is None or not copy.path.exists()]
        whole = [copy for copy in idle if copy not in broken]
        dropped = broken + whole[: max(0, len(whole) - keep)]
        for copy in dropped:
            del _copies[copy.key]
    for copy in dropped:
        copy.resources.close()
    return len(dropped)


def _taken(key: tuple[str, str]) -> _Copy:
    with _lock:
        copy = _copies.pop(key, None)
        gone = copy is not None and copy.path is not None and not copy.path.exists()
        if copy is None or gone:
            copy = _Copy(key)
        copy.num_users += 1
        _copies[key] = copy
    return copy


def _fetched(copy: _Copy) -> Path:
    with copy.fetching:
        if copy.path is None:
            uri, scratch = copy.key
            try:
                copy.path = _fetch(copy, uri, Path(scratch))
            except ScratchError:
                # What nobody uses may make room.
                if not drop_idle():
                    raise
                copy.path = _fetch(copy, uri, Path(scratch))
        return copy.path


def _fetch(copy: _Copy, uri: str, scratch: Path) -> Path:
    return copy.resources.enter_context(storage_for(uri).local_file(uri, scratch))
