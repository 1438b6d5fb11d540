"""``curate`` from and to object stores, in processes of its own, beside a local run."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from independent_ledger import check
from kill_harness import OPTIONS
from make_video import VideoSpec, make_video
from tree import tree
from wrong_use import Ended, environment

RAW_NAMES = ("a.mp4", "sub folder/b é+%20#&=.mp4")
"""Keys that a URL must quote are keys as others."""
TREE_NAMES = ("processed", "webdataset")
_PATIENCE_SECONDS = 240
_POLL_SECONDS = 0.02
_UNSET = ("AWS_", "COSMOS_", "GOOGLE_", "STORAGE_EMULATOR_HOST")


def make_raw(folder: Path) -> Path:
    """Make the videos of all runs and return their folder."""
    for number, name in enumerate(RAW_NAMES):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        make_video(folder / name, VideoSpec(seconds=3 + number, size=(64, 48), keyframe_every=0))
    return folder


@dataclass
class Places:
    """Where one run reads and writes: URIs or paths below ``root``."""

    raw: str
    root: str
    scratch: Path
    variables: Mapping[str, str] = field(default_factory=dict)
    """Of the environment, beside which no variable of a store is passed on."""
    options: tuple[str, ...] = ()

    @property
    def out(self) -> str:
        """The output."""
        return f"{self.root}/processed"

    def arguments(self, *options: str) -> list[str]:
        """Return the command line."""
        paths = {"input_video_path": self.raw, "output_clip_path": self.out}
        named = {**paths, "scratch_path": self.scratch}
        given = [f"--{name}={value}" for name, value in named.items()]
        return ["curate", *given, *OPTIONS, *self.options, *options]

    def curate(self, *options: str) -> Ended:
        """Run it to its end."""
        with self.started(*options) as running:
            return running.end()

    @contextlib.contextmanager
    def started(self, *options: str, variables: Mapping[str, str] | None = None) -> Iterator[Run]:
        """Start it; at the context's end nothing of it is left running."""
        self.scratch.mkdir(parents=True, exist_ok=True)
        log = self.scratch.parent / f"{self.scratch.name}-log"
        known = {key: value for key, value in os.environ.items() if not key.startswith(_UNSET)}
        with log.with_suffix(".out").open("w") as out, log.with_suffix(".err").open("w") as err:
            process = subprocess.Popen(
                [sys.executable, "-m", "beam_pipeline", *self.arguments(*options)],
                env={
                    **known,
                    "PYTHONPATH": environment({})["PYTHONPATH"],
                    **self.variables,
                    **(variables or {}),
                },
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
            try:
                yield Run(process, log)
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()


@dataclass(frozen=True)
class Run:
    """A running command."""

    process: subprocess.Popen[bytes]
    log: Path

    def end(self, seconds: float = _PATIENCE_SECONDS) -> Ended:
        """Wait for its end."""
        status = self.process.wait(seconds)
        return Ended(status, self.told("out"), self.told("err"))

    def told(self, stream: str) -> str:
        """Return what it has printed so far to ``out`` or ``err``."""
        return self.log.with_suffix(f".{stream}").read_text()

    def wait(self, moment: Callable[[], bool]) -> None:
        """Wait for a moment at which it is still running."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not moment():
            assert self.process.poll() is None, f"it ended by itself: {self.told('err')}"
            assert time.monotonic() < deadline, f"the moment never came: {self.told('err')}"
            time.sleep(_POLL_SECONDS)

    def kill(self) -> None:
        """Kill all of it at once."""
        os.killpg(self.process.pid, signal.SIGKILL)
        assert self.process.wait() == -signal.SIGKILL, "it had ended by itself"


def local_trees(places: Places) -> dict[str, str]:
    """Return what must not differ between two runs, for one that wrote to a local folder."""
    return _trees(Path(places.root), places)


def stored_trees(places: Places, objects: Mapping[str, bytes], folder: Path) -> dict[str, str]:
    """Return the same for one that wrote to a store; all that it left is complete and true.

    Args:
        places: Its URIs.
        objects: Key below ``places.root`` to content, of all objects.
        folder: Where to put them, so that they can be compared.
    """
    for rel, content in objects.items():
        path = folder / rel
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    assert check(folder / "processed", folder / "webdataset") == []
    return _trees(folder, places)


def _trees(folder: Path, places: Places) -> dict[str, str]:
    names: dict[str, Any] = {f"<{name}>": f"{places.root}/{name}" for name in TREE_NAMES}
    roots = {"<raw>": places.raw, **names}
    return {
        f"{name}/{rel}": digest
        for name in TREE_NAMES
        for rel, digest in tree(folder / name, roots).items()
    }
