"""Children that all steps of a process share: they are started once, not by every step anew."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from transforms.media.child_lane import LiveChildren
from transforms.media.child_limits import ChildLimits


@dataclass(eq=False)
class _Shared:
    children: LiveChildren
    num_users: int = 0


_Key = tuple[int, Path, ChildLimits]
_lock = threading.Lock()
_shared: dict[_Key, _Shared] = {}


@contextlib.contextmanager
def shared_children(scratch: Path, limits: ChildLimits) -> Iterator[LiveChildren]:
    """Yield the children of this process that work in ``scratch`` under these limits.

    They end with the last one who uses them, so a step that comes after another one of the same
    run finds those of that one, idle.

    Args:
        scratch: Local folder of this process.
        limits: What each child may use and how long it may be silent.
    """
    # A process that is forked has none of its parent's children.
    key = (os.getpid(), scratch.absolute(), limits)
    with _lock:
        shared = _shared.setdefault(key, _Shared(LiveChildren(scratch, limits)))
        shared.num_users += 1
    try:
        yield shared.children
    finally:
        with _lock:
            shared.num_users -= 1
            is_last = not shared.num_users
            if is_last:
                del _shared[key]
        if is_last:
            shared.children.close()
