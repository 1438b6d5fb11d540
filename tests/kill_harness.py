"""The program in real processes that are killed and go on, and what must hold then."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from independent_ledger import check
from process_list import Process, assert_gone, processes
from run_command import Curated
from wrong_use import Ended, environment

from transforms.faults import FAULT_VARIABLE

MULTI = ("--direct_running_mode=multi_processing", "--direct_num_workers=2")
OPTIONS = (
    *(
        "--splitting_algorithm",
        "fixed-stride",
        "--fixed_stride_split_duration",
        "1",
        "--fixed_stride_min_clip_length_s",
        "0.5",
    ),
    *("--clip_re_chunk_size", "1", "--no-predict"),
    *("--motion_filter", "score-only", "--generate_previews"),
)
_POLL_SECONDS = 0.005
_PATIENCE_SECONDS = 120

# Every Python process imports this module first. It sees the system calls by which finished clips
# get their names and files are read, whatever the program says about what it did.
_RECORDER = """
import os, sys

def record(event, arguments):
    if event == "os.rename" and str(arguments[0]).endswith(".partial"):
        note("ENCODED_CLIPS", os.path.basename(str(arguments[1])).removesuffix(".mp4"))
    elif event == "open" and isinstance(arguments[0], str) and arguments[0].startswith(OUT):
        if not arguments[2] & (os.O_WRONLY | os.O_RDWR) and not os.path.isdir(arguments[0]):
            note("OPENED_FILES", arguments[0][len(OUT) :])

def note(log, line):
    handle = os.open(os.environ[log], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(handle, line.encode() + b"\\n")
    os.close(handle)

OUT = os.environ["OUTPUT"] + "/"
sys.addaudithook(record)
"""


@dataclass(frozen=True)
class AtKill:
    """What lay there when a run was killed, and who was at work."""

    clips: frozenset[str]
    """Ids of the clips with metadata."""
    encoded: Counter[str]
    """How often each clip was encoded by then."""
    num_children: int
    num_open_runs: int
    """Runs that a child was cutting."""


class Scene:
    """The folders of one output that is killed and gone on with."""

    def __init__(self, folder: Path, raw: Path, command: str = "curate") -> None:
        self.curated = Curated.below(folder, raw)
        self._command = command
        self.scratch = folder / "scratch"
        self._folder = folder
        self._encoded = folder / "encoded"
        self._opened = folder / "opened"
        (folder / "site").mkdir(parents=True)
        (folder / "site" / "sitecustomize.py").write_text(_RECORDER)
        # Locks of its own: other runs on this machine must not take its slots.
        (folder / "locks").mkdir()

    def encoded(self) -> Counter[str]:
        """Return how often each clip was encoded so far."""
        return Counter(self._encoded.read_text().split() if self._encoded.exists() else ())

    def opened(self) -> Counter[str]:
        """Return how often each file below the output was opened for reading so far."""
        return Counter(self._opened.read_text().splitlines())

    def num_bytes(self) -> int:
        """Return the bytes of all files below output and dataset."""
        total = 0
        for root in (self.curated.out, self.curated.dataset):
            for folder, _, names in os.walk(root):
                for name in names:
                    with contextlib.suppress(FileNotFoundError):
                        total += os.lstat(Path(folder, name)).st_size
        return total

    def run(self, *options: str) -> Ended:
        """Run the command to its end; nothing of it is left running."""
        with self._started(options) as process:
            process.wait(_PATIENCE_SECONDS)
        assert_gone(process.pid, self.scratch)
        return Ended(process.returncode, self._told("out"), self._told("err"))

    def kill_when(
        self, moment: Callable[[], bool], *options: str, driver_alone: bool = False
    ) -> AtKill:
        """Run the command and kill its process group, or one process of it, at a moment."""
        with self._started(options) as process:
            self._wait(moment, process)
            # Stopped, it can be looked at: what lies there now is what lies there when it is dead.
            os.killpg(process.pid, signal.SIGSTOP)
            at_work = self.children(process.pid)
            num_open = len(list(self.scratch.glob("*/worker-*/cutting/*")))
            if driver_alone:
                process.kill()
                os.killpg(process.pid, signal.SIGCONT)
            else:
                os.killpg(process.pid, signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL, "it had ended by itself"
            assert_gone(process.pid, self.scratch)
        return self._at_kill(len(at_work), num_open)

    def kill_at(self, point: str, *options: str) -> AtKill:
        """Run the command until it comes to a point and kills itself there."""
        with self._started(options, fault=f"kill@{point}") as process:
            status = process.wait(_PATIENCE_SECONDS)
            assert status == -signal.SIGKILL, f"it did not come to {point}: {self._told('err')}"
            assert_gone(process.pid, self.scratch)
        return self._at_kill(0, 0)

    def run_losing_a_child(self, moment: Callable[[], bool], *options: str) -> Ended:
        """Run the command to its end, and kill one of its children at a moment."""
        with self._started(options) as process:
            self._wait(lambda: moment() and bool(self.children(process.pid)), process)
            os.kill(self.children(process.pid)[0].pid, signal.SIGKILL)
            process.wait(_PATIENCE_SECONDS)
        assert_gone(process.pid, self.scratch)
        return Ended(process.returncode, self._told("out"), self._told("err"))

    def children(self, session: int) -> list[Process]:
        """Return the processes that decode."""
        return [one for one in processes(session, self.scratch) if one.is_child]

    def check_finished(self, whole: dict[str, str], kills: Sequence[AtKill]) -> None:
        """Assert what must hold when the last of several runs, the others killed, has ended.

        Args:
            whole: The trees of an uninterrupted run.
            kills: What lay there at each kill, in order.
        """
        found = self.curated.trees()
        assert {rel for rel in whole.keys() | found if whole.get(rel) != found.get(rel)} == set()
        self.check_nothing_lost(kills)

    def check_nothing_lost(self, kills: Sequence[AtKill]) -> None:
        """Assert that all is there, once, that nothing else is, and that nothing was made twice."""
        assert check(self.curated.out, self.curated.dataset) == []
        assert not list(self._folder.rglob(".tmp-*"))
        assert not list(self.curated.dataset.rglob("staging/*"))
        assert not list(self.scratch.iterdir()), "the scratch folder of a dead run"
        encoded = self.encoded()
        assert encoded.keys() == self.curated.metas().keys()
        for clip_id, times in encoded.items():
            assert times <= 1 + sum(clip_id not in kill.clips for kill in kills), clip_id
            for kill in kills:
                if clip_id in kill.clips:
                    assert times == kill.encoded[clip_id], f"{clip_id} was committed"

    @contextlib.contextmanager
    def _started(
        self, options: Sequence[str], fault: str = ""
    ) -> Iterator[subprocess.Popen[bytes]]:
        with (self._folder / "out").open("wb") as out, (self._folder / "err").open("wb") as err:
            process = subprocess.Popen(
                [sys.executable, "-m", "beam_pipeline", *self._arguments(), *options],
                env=self._environment(fault),
                stdout=out,
                stderr=err,
                cwd=self._folder,
                start_new_session=True,
            )
            try:
                yield process
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def _arguments(self) -> list[str]:
        named = {
            "input_video_path": self.curated.raw,
            "output_clip_path": self.curated.out,
            "scratch_path": self.scratch,
        }
        paths = [f"--{name}={path}" for name, path in named.items()]
        return [self._command, *paths, *OPTIONS]

    def _environment(self, fault: str) -> dict[str, str]:
        return environment(
            {
                "PYTHONPATH": str(self._folder / "site"),
                "XDG_RUNTIME_DIR": str(self._folder / "locks"),
                "BEAM_CURATE_SLOTS": "2",
                "OUTPUT": str(self.curated.out),
                "ENCODED_CLIPS": str(self._encoded),
                "OPENED_FILES": str(self._opened),
                FAULT_VARIABLE: fault,
            }
        )

    def _wait(self, moment: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not moment():
            assert process.poll() is None, f"it ended by itself: {self._told('err')}"
            assert time.monotonic() < deadline, f"the moment never came: {self._told('err')}"
            time.sleep(_POLL_SECONDS)

    def _at_kill(self, num_children: int, num_open_runs: int) -> AtKill:
        clips = frozenset(self.curated.metas())
        return AtKill(clips, self.encoded(), num_children, num_open_runs)

    def _told(self, stream: str) -> str:
        return (self._folder / stream).read_text()
