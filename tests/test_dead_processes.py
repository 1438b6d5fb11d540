"""Of driver and workers one is killed, or never begins: nothing hangs, nothing is left running."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from make_video import VideoSpec, make_video
from process_list import Process, assert_gone, processes
from wrong_use import Ended, environment, split, use, use_process

import runners.worker_processes
from transforms.scratch import new_run_id, run_scratch

MULTI = ("--direct_running_mode=multi_processing", "--direct_num_workers=2")
Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of two videos that take some seconds to cut."""
    folder = tmp_path_factory.mktemp("dead") / "raw"
    folder.mkdir()
    for name in ("a.mp4", "b.mp4"):
        make_video(folder / name, VideoSpec(seconds=12, size=(320, 192)))
    return folder


class Run:
    """A run in a process of its own that has committed its first clip."""

    def __init__(self, process: subprocess.Popen[str], out: Path, scratch: Path) -> None:
        self.process = process
        self.out = out
        self.scratch = scratch

    def workers(self) -> list[Process]:
        found = processes(self.process.pid, self.scratch)
        return [one for one in found if "runners.local_worker" in one.command]

    def wait(self, seconds: float) -> Ended:
        out, err = self.process.communicate(timeout=seconds)
        return Ended(self.process.returncode, out, err)


@contextlib.contextmanager
def started(raw: Path, folder: Path, *options: str) -> Iterator[Run]:
    """Start a run and wait for its first clip."""
    out, scratch = folder / "out", folder / "scratch"
    arguments = split(raw, out, "--scratch_path", scratch, *options)
    process = subprocess.Popen(
        [sys.executable, "-m", "beam_pipeline", *map(str, arguments)],
        env=environment({}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 120
        while not list(out.glob("metas/v0/*.json")):
            assert process.poll() is None, "it ended by itself"
            assert time.monotonic() < deadline, "it takes too long"
            time.sleep(0.02)
        yield Run(process, out, scratch)
    finally:
        for left in processes(process.pid, scratch):
            with contextlib.suppress(ProcessLookupError):
                os.kill(left.pid, signal.SIGKILL)
        process.wait()


def goes_on(raw: Path, run: Run, capsys: Capture) -> None:
    """Assert that the same command finishes, at once, and that nothing of the dead run is left."""
    scratch = ("--scratch_path", run.scratch)
    assert use(capsys, *split(raw, run.out, *scratch)).status == 0
    assert len(list(run.out.glob("clips/*.mp4"))) == 24
    assert list(run.scratch.iterdir()) == []
    left = [path for path in run.out.rglob("*") if path.name.startswith((".tmp-", "lease"))]
    assert left == []


@pytest.mark.parametrize("mode", [(), MULTI], ids=["in_memory", "multi_processing"])
def test_all_ends_with_the_driver(
    mode: tuple[str, ...], raw: Path, tmp_path: Path, capsys: Capture
) -> None:
    with started(raw, tmp_path, *mode) as run:
        assert len(run.workers()) == len(mode)
        run.process.kill()
        run.process.wait()
        assert len(list(run.out.glob("metas/v0/*.json"))) < 24
        if not mode:
            # Not even a moment later: its lease and its scratch folder are known to be dead.
            goes_on(raw, run, capsys)
        assert_gone(run.process.pid, run.scratch)
        goes_on(raw, run, capsys)


def test_a_killed_worker_ends_the_run_and_is_named(
    raw: Path, tmp_path: Path, capsys: Capture
) -> None:
    with started(raw, tmp_path, *MULTI) as run:
        victim = run.workers()[0]
        os.kill(victim.pid, signal.SIGKILL)
        ended = run.wait(60)
        assert_gone(run.process.pid, run.scratch)
        assert ended.status == 1
        ended.told(f"worker process {victim.pid} was killed by SIGKILL", "the same command goes on")
        assert len(ended.complaints) == 1
        assert len(ended.err.splitlines()) <= 6, "no log of the runner"
        assert list(run.scratch.iterdir()) == []
        goes_on(raw, run, capsys)


@pytest.fixture
def broken_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Return a function that makes worker processes do something else as they start."""

    def do(what: str) -> None:
        site = tmp_path / "site"
        site.mkdir()
        # Every Python process imports this module first.
        (site / "sitecustomize.py").write_text(f"import os, sys, time\n{what}\n")
        monkeypatch.setenv("PYTHONPATH", str(site))

    return do


IF_WORKER = "if sys.orig_argv[1:3] == ['-m', 'runners.local_worker']:"


class TestWorkersThatCannotStart:
    """Each ends the run within a minute, the process start and the last wait together."""

    def test_one_that_lacks_a_module(
        self, raw: Path, tmp_path: Path, broken_workers: Callable[[str], None], capsys: Capture
    ) -> None:
        broken_workers("sys.modules['apache_beam.runners.worker.sdk_worker_main'] = None")
        started_at = time.monotonic()
        ended = use(capsys, *split(raw, tmp_path / "out", *MULTI))
        assert time.monotonic() - started_at < 60
        assert ended.status == 1
        ended.told("worker processes cannot start", "sdk_worker_main", "without --direct_running")
        assert not (tmp_path / "out").exists()

    def test_one_that_ends(
        self, raw: Path, tmp_path: Path, broken_workers: Callable[[str], None]
    ) -> None:
        broken_workers(f"{IF_WORKER} os._exit(7)")
        started_at = time.monotonic()
        site = {"PYTHONPATH": str(tmp_path / "site")}
        ended = use_process(*split(raw, tmp_path / "out", *MULTI), env=site)
        assert time.monotonic() - started_at < 60
        assert ended.status == 1
        ended.told("ended with exit status 7 in the middle of the run")
        assert len(ended.complaints) == 1

    def test_one_that_hangs(
        self,
        raw: Path,
        tmp_path: Path,
        broken_workers: Callable[[str], None],
        monkeypatch: pytest.MonkeyPatch,
        capsys: Capture,
    ) -> None:
        assert runners.worker_processes.START_SECONDS < 60
        monkeypatch.setattr(runners.worker_processes, "START_SECONDS", 2.0)
        broken_workers(f"{IF_WORKER} time.sleep(600)")
        ended = use(capsys, *split(raw, tmp_path / "out", *MULTI))
        assert ended.status == 1
        ended.told("did not connect within 2 seconds")


class TestScratch:
    def test_that_of_a_killed_run_goes_at_once_and_that_of_a_live_one_stays(
        self, tmp_path: Path
    ) -> None:
        dead = tmp_path / new_run_id()
        dead.mkdir()
        (dead / "run.lock").write_text("")
        halfway = tmp_path / new_run_id()
        (halfway / "worker-1").mkdir(parents=True)
        young, old = (tmp_path / f".new-{new_run_id()}" for _ in range(2))
        for folder in (young, old):
            folder.mkdir()
        os.utime(old, (1, 1))
        (tmp_path / "mine").mkdir()
        with run_scratch(str(tmp_path), new_run_id()) as live:
            assert {path.name for path in tmp_path.iterdir()} == {"mine", live.name, young.name}
            with run_scratch(str(tmp_path), new_run_id()):
                assert live.exists()
        assert {path.name for path in tmp_path.iterdir()} == {"mine", young.name}

    def test_many_runs_that_begin_together_keep_their_folders(self) -> None:
        script = (
            "import sys, pathlib; from transforms.scratch import *\n"
            "for _ in range(40):\n"
            "    with run_scratch(sys.argv[1], new_run_id()) as folder:\n"
            "        (folder / 'file').write_text('x')\n"
            "        assert (folder / 'run.lock').exists()\n"
        )
        with tempfile.TemporaryDirectory() as root:
            command = [sys.executable, "-c", script, root]
            runs = [subprocess.Popen(command, env=environment({})) for _ in range(4)]
            assert [run.wait(60) for run in runs] == [0, 0, 0, 0]
            assert list(Path(root).iterdir()) == []
