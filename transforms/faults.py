"""Faults that tests of resilience order; without the variable nothing happens.

``BEAM_CURATE_FAULT`` is a list of orders separated by commas. ``WHAT:ID``: when a child begins to
cut the clip, to probe the video or to index it with that id, or to make small frames of segment
``{video}-{segment}``, it does WHAT:

- ``crash``: ends by a segmentation fault, as a decoder with a bug would;
- ``error``: raises an exception that nobody expects;
- ``hang``: sleeps for ever;
- ``memory``: allocates until it gets no more, at most ``MOST_BYTES``;
- ``noise``: writes to standard output from Python and past it, as a chatty library would.

``kill@POINT`` or ``kill@POINT:ELEMENT``: the process that comes to that point, the first time or
with that element, kills its whole process group as ``kill -9`` does. The points:

- ``planned``: a video's plan is stored, nothing was handed on; the element is its relative path;
- ``segment_scored``: the scores of a segment are stored; ``{path}#{segment}``;
- ``clip_published``: a clip's mp4 is stored, its metadata is not; the clip's id;
- ``chunk_complete``: a chunk's last clip is committed, its record is not; ``{path}#{chunk}``;
- ``clip_annotated``: the metadata of a clip's new captions is stored; the clip's id;
- ``shards_planned``: the plans of shards are stored, no tar was begun; no element;
- ``tars_published``: all tars are there and committed, nothing describes them; no element.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

FAULT_VARIABLE = "BEAM_CURATE_FAULT"
MOST_BYTES = 1 << 38
"""A child without a limit that is ordered to use up its memory stops here."""


def strike(element_id: str) -> None:
    """Commit the fault ordered for this clip or video, if any.

    Raises:
        MemoryError: The fault is ``memory``.
        RuntimeError: The fault is ``error``, or is none that is known.
    """
    for what, victim in _orders():
        if victim != element_id or "@" in what:
            continue
        if what == "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        elif what == "hang":
            threading.Event().wait()
        elif what == "memory":
            _use_up_memory()
        elif what == "noise":
            print("noise from Python", flush=True)
            os.write(1, b'["ClipReport",{}]\n\xff\n')
        else:
            raise RuntimeError(f"ordered fault {what!r} at {element_id}")


def kill_at(point: str, element: str = "") -> None:
    """Kill this process group, this process included, if that is ordered for this point.

    Args:
        point: Where the program is; see the module.
        element: What it works on there.
    """
    for what, victim in _orders():
        if what == f"kill@{point}" and victim in ("", element):
            os.killpg(0, signal.SIGKILL)


def _use_up_memory() -> None:
    taken = []
    for _ in range(MOST_BYTES >> 24):
        taken.append(bytearray(1 << 24))  # zeros: address space is taken, hardly any memory
    raise RuntimeError(f"{MOST_BYTES} bytes were taken and no limit was met")


def _orders() -> Iterator[tuple[str, str]]:
    """Yield (what, element) of each order; without an element it is empty."""
    for order in filter(None, os.environ.get(FAULT_VARIABLE, "").split(",")):
        what, _, element = order.partition(":")
        yield what, element
