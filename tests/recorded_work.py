"""What processes really did, from audit events of Python, whatever the program counts itself."""

from __future__ import annotations

import contextlib
import os
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

# Every Python process imports this module first. A finished clip gets its name by one rename; a
# look begins with reading the clip for its checksum.
_RECORDER = """
import os, re, sys

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

def note(what, path):
    handle = os.open(LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(handle, f"{what} {os.path.basename(path).removesuffix('.mp4')}\\n".encode())
    os.close(handle)

def record(event, arguments):
    if event == "os.rename" and str(arguments[0]).endswith(".partial"):
        note("cut", str(arguments[1]))
    if event == "open" and arguments[1] in ("r", "rb"):
        path = str(arguments[0])
        if path.endswith(".mp4") and UUID.fullmatch(os.path.basename(path)[:-4]):
            note("look", path)

if "transforms.media.child" in sys.orig_argv:
    sys.addaudithook(record)
"""


@dataclass(frozen=True)
class ChildWork:
    """What child processes did with clips, by id."""

    log: Path

    @classmethod
    def recorded(cls, folder: Path, monkeypatch: pytest.MonkeyPatch) -> ChildWork:
        """Return the record of all children that are started from now on in this test."""
        log = folder / "child-work.txt"
        site = folder / "site"
        site.mkdir()
        (site / "sitecustomize.py").write_text(f"LOG = {str(log)!r}\n{_RECORDER}")
        monkeypatch.syspath_prepend(str(site))
        return cls(log)

    def take(self, what: str = "") -> Counter[str]:
        """Return how often each clip was ``cut`` or looked at ("look"); "" is both."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return Counter(line.split()[1] for line in lines if line.startswith(what))

    def forget(self) -> None:
        """Begin anew."""
        self.log.unlink(missing_ok=True)


_listeners: list[list[str]] = []


def _listen(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and _listeners and isinstance(arguments[0], (str, os.PathLike)):
        reads = isinstance(arguments[1], str) and not set("wax+") & set(arguments[1])
        if reads:
            for opened in _listeners:
                opened.append(os.fspath(arguments[0]))


sys.addaudithook(_listen)


@contextlib.contextmanager
def opened_for_reading() -> Iterator[list[str]]:
    """Return a list that receives the path of every file this process opens for reading."""
    opened: list[str] = []
    _listeners.append(opened)
    try:
        yield opened
    finally:
        _listeners.remove(opened)
