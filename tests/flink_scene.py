"""Runs of the program on Flink whose parts are killed, and what must hold then."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from flink_cluster import FlinkCluster
from kill_harness import AtKill, Scene
from process_list import Process
from wrong_use import Ended

from runners.flink_rest import JobState
from runners.flink_worker_check.check import NAME as CHECK_NAME

PATIENCE_SECONDS = 240
_GONE_SECONDS = 20
# Workers have the environment of their TaskManager: what a run needs to be told comes with the
# module that every Python process imports first.
_PRELUDE = """
import os, sys
os.environ.update({variables!r})
with open(os.path.join({notes!r}, str(os.getpid())), "w") as file:
    print(" ".join(sys.orig_argv), os.environ.get("CUDA_VISIBLE_DEVICES"), sep="|", file=file)
if any("cluster_worker" in argument for argument in sys.orig_argv):
    print({noise!r} * 20000, flush=True)
"""
_NOISE = "A worker that prints more than a pipe holds. " + "x" * 64


class FlinkScene(Scene):
    """One output that runs on Flink work into."""

    def __init__(self, folder: Path, raw: Path, cluster: FlinkCluster) -> None:
        super().__init__(folder, raw)
        self.cluster = cluster
        self.notes = folder / "notes"
        self.notes.mkdir()
        names = ("XDG_RUNTIME_DIR", "BEAM_CURATE_SLOTS", "OUTPUT", "ENCODED_CLIPS", "OPENED_FILES")
        environment = self._environment("")
        variables = {name: environment[name] for name in names}
        site = folder / "site" / "sitecustomize.py"
        prelude = _PRELUDE.format(variables=variables, notes=str(self.notes), noise=_NOISE)
        site.write_text(prelude + site.read_text())

    @contextlib.contextmanager
    def on_flink(self, *options: str) -> Iterator[FlinkRun]:
        """Start the command on the cluster; at the end nothing of it is left."""
        self.cluster.wait_for_slots()
        before = {job.job_id for job in self.cluster.rest.jobs()}
        with self._started((*self.cluster.flags, *options)) as process:
            yield FlinkRun(self, process, before)
        self.wait_until_gone()

    def at_kill(self) -> AtKill:
        """Return what lies there now, just before something is killed."""
        return self._at_kill(0, 0)

    def ended(self, status: int) -> Ended:
        return Ended(status, self._told("out"), self._told("err"))

    def processes(self, module: str) -> list[Process]:
        """Return the processes of this scene that run a module."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                environment = (entry / "environ").read_bytes().decode(errors="replace")
                if f"-m {module} " in f"{command} " and str(self.scratch) in environment:
                    found.append(Process(int(entry.name), command))
        return found

    def wait_until_gone(self) -> None:
        """Wait until no worker of this scene is left, and no job runs."""
        deadline = time.monotonic() + _GONE_SECONDS
        while left := [
            *self.processes("runners.cluster_worker"),
            *self.processes("runners.worker_boot"),
            *self.cluster.running_jobs(),
        ]:
            assert time.monotonic() < deadline, f"still there: {left}"
            time.sleep(0.1)

    def wait_for(self, moment: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not moment():
            assert process.poll() is None, f"it ended by itself: {self._told('err')}"
            assert time.monotonic() < deadline, f"the moment never came: {self._told('err')}"
            time.sleep(0.02)


class FlinkRun:
    """A running command."""

    def __init__(
        self, scene: FlinkScene, process: subprocess.Popen[bytes], before: set[str]
    ) -> None:
        self._scene = scene
        self._before = before
        self.process = process

    def wait_for_clips(self, count: int) -> AtKill:
        """Wait until so many clips are committed; return what lies there then."""
        metas = self._scene.curated.out / "metas" / "v0"
        self._scene.wait_for(lambda: len(list(metas.glob("*.json"))) >= count, self.process)
        return self._scene.at_kill()

    def wait(self) -> Ended:
        """Wait for the end of the command."""
        return self._scene.ended(self.process.wait(PATIENCE_SECONDS))

    def signal(self, number: int) -> Ended:
        """Send the command alone a signal and wait for its end."""
        self.process.send_signal(number)
        return self.wait()

    def jobs(self) -> list[JobState]:
        """Return the jobs that the command has submitted, but for the look at the machines."""
        return [job for job in self._all_jobs() if not job.name.startswith(CHECK_NAME)]

    def checks(self) -> list[JobState]:
        """Return the jobs that only looked at the machines of the TaskManagers."""
        return [job for job in self._all_jobs() if job.name.startswith(CHECK_NAME)]

    def _all_jobs(self) -> list[JobState]:
        jobs = self._scene.cluster.rest.jobs()
        return [job for job in jobs if job.job_id not in self._before]

    def kill_worker(self) -> None:
        """Kill one worker."""
        os.kill(self._scene.processes("runners.cluster_worker")[0].pid, signal.SIGKILL)

    def kill_job_server(self) -> None:
        """Kill Beam's job server, a child of the guard, which is a child of the command."""
        guard = _children(self.process.pid, "runners.job_guard")[0]
        os.kill(_children(guard, "flink-master")[0], signal.SIGKILL)


def _children(parent: int, needle: str) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            if int(fields[1]) == parent and needle in (entry / "cmdline").read_text():
                found.append(int(entry.name))
    return found
