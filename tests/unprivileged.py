"""Running a piece of a test as a user without rights; tests may run as root."""

from __future__ import annotations

import os
import pickle
import traceback
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")

NOBODY = 65534


def as_nobody(function: Callable[[], Result]) -> Result:
    """Return what ``function`` returns in a forked process that gave up root's rights.

    Raises:
        AssertionError: The function raised; the message is its traceback.
    """
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            with os.fdopen(write_end, "wb") as pipe:
                pickle.dump(function(), pipe)
            status = 0
        except BaseException:  # noqa: BLE001 - the child must not return into the test runner
            traceback.print_exc()
        finally:
            os._exit(status)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        content = pipe.read()
    _, status = os.waitpid(pid, 0)
    assert status == 0, "the function raised, see stderr"
    return pickle.loads(content)
