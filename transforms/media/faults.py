"""Faults that tests of resilience order a child to commit; without the variable nothing happens.

``BEAM_CURATE_FAULT`` is a list of ``WHAT:CLIP_ID`` separated by commas. When the child begins to
cut that clip it does WHAT:

- ``crash``: ends by a segmentation fault, as a decoder with a bug would;
- ``error``: raises an exception that nobody expects;
- ``hang``: sleeps for ever;
- ``noise``: writes to standard output from Python and past it, as a chatty library would.
"""

from __future__ import annotations

import os
import signal
import threading

FAULT_VARIABLE = "BEAM_CURATE_FAULT"


def strike(clip_id: str) -> None:
    """Commit the fault ordered for this clip, if any.

    Raises:
        RuntimeError: The fault is ``error``, or is none that is known.
    """
    for fault in filter(None, os.environ.get(FAULT_VARIABLE, "").split(",")):
        what, _, victim = fault.partition(":")
        if victim != clip_id:
            continue
        if what == "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        elif what == "hang":
            threading.Event().wait()
        elif what == "noise":
            print("noise from Python", flush=True)
            os.write(1, b'["ClipReport",{}]\n\xff\n')
        else:
            raise RuntimeError(f"ordered fault {what!r} at clip {clip_id}")
