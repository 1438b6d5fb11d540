"""A real Flink cluster on this machine: one JobManager, two TaskManagers, by plain java.

Flink comes from PyPI's ``apache-flink-libraries`` or from ``$BEAM_CURATE_FLINK_HOME``; the jar of
Beam's job server from ``$BEAM_CURATE_FLINK_JAR``, else from where our Maven project puts it.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from runners.flink_jar import BUILT
from runners.flink_rest import FlinkRest, FlinkUnreachableError

NUM_TASK_MANAGERS = 2
GPUS = "0,1"
START_SECONDS = 120
_RESTART_SECONDS = 0.5
_ENTRY = "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint"
_WORKER = "org.apache.flink.runtime.taskexecutor.TaskManagerRunner"
_TOOL = "org.apache.flink.runtime.util.bash.BashJavaUtils"
# What Flink's own configuration gives a Java of 17.
_OPEN = [
    f"--add-opens=java.base/{package}=ALL-UNNAMED"
    for package in (
        *("java.lang", "java.net", "java.io", "java.nio", "sun.nio.ch", "java.lang.reflect"),
        *("java.text", "java.time", "java.util", "java.util.concurrent"),
        *("java.util.concurrent.atomic", "java.util.concurrent.locks"),
    )
]
_CONFIG = """
jobmanager.bind-host: 127.0.0.1
jobmanager.rpc.address: 127.0.0.1
jobmanager.rpc.port: {rpc}
jobmanager.memory.process.size: 800m
rest.address: 127.0.0.1
rest.bind-address: 127.0.0.1
rest.port: {rest}
taskmanager.host: 127.0.0.1
taskmanager.numberOfTaskSlots: 1
taskmanager.memory.process.size: 1300m
taskmanager.memory.managed.size: 64m
heartbeat.interval: 1000
heartbeat.timeout: 10000
io.tmp.dirs: {tmp}
"""
_LOG = """
rootLogger.level = INFO
rootLogger.appenderRef.console.ref = Console
appender.console.name = Console
appender.console.type = CONSOLE
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{HH:mm:ss,SSS} %-5p %c{1} - %m%n
"""


class FlinkCluster:
    """A running cluster; a TaskManager that ends is started anew.

    Args:
        home: Folder with Flink's ``lib``.
        jar: Of Beam's job server.
        folder: For configuration, logs and temporary files.
    """

    def __init__(self, home: Path, jar: Path, folder: Path) -> None:
        self.jar = jar
        self.folder = folder
        self._home = home
        self._rpc, self._rest_port = free_ports(2)
        self.rest = FlinkRest(f"127.0.0.1:{self._rest_port}")
        self._is_closing = threading.Event()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._commands: dict[str, list[str]] = {}
        self._supervisor = threading.Thread(target=self._supervise, daemon=True)

    @property
    def flags(self) -> tuple[str, ...]:
        """Options that send a run to this cluster."""
        return (
            "--runner=FlinkRunner",
            f"--flink_master={self.rest.address}",
            f"--flink_job_server_jar={self.jar}",
        )

    def start(self) -> None:
        """Start everything and wait until all slots are there."""
        conf = self.folder / "conf"
        for name in ("conf", "tmp", "logs", "workers"):
            (self.folder / name).mkdir(parents=True)
        values = {"rpc": self._rpc, "rest": self._rest_port, "tmp": self.folder / "tmp"}
        (conf / "flink-conf.yaml").write_text(_CONFIG.format(**values))
        (conf / "log4j-console.properties").write_text(_LOG)
        self._commands["jobmanager"] = [
            *self._java("-Xmx384m", f"{self._home}/lib/*"),
            *(_ENTRY, "--configDir", str(conf), "--executionMode", "cluster"),
        ]
        memory, dynamic = self._parameters(conf)
        for number in range(NUM_TASK_MANAGERS):
            self._commands[f"taskmanager-{number}"] = [
                *self._java(*memory, "-XX:+ExitOnOutOfMemoryError", f"{self._home}/lib/*"),
                *(_WORKER, "--configDir", str(conf), *dynamic),
            ]
        for name in self._commands:
            self._start(name)
        self._supervisor.start()
        self.wait_for_slots()

    def wait_for_slots(self) -> None:
        """Wait until all slots are free."""
        deadline = time.monotonic() + START_SECONDS
        while not self._has_all_slots():
            assert time.monotonic() < deadline, f"no cluster; see {self.folder / 'logs'}"
            time.sleep(0.2)

    def kill_task_manager(self, number: int = 0) -> None:
        """Kill a TaskManager; the supervisor starts another one."""
        self._processes[f"taskmanager-{number}"].kill()

    def running_jobs(self) -> list[str]:
        """Return the names of the jobs that have not ended."""
        return [job.name for job in self.rest.jobs() if not job.has_ended]

    def close(self) -> None:
        """End everything."""
        self._is_closing.set()
        self._supervisor.join()
        for process in self._processes.values():
            process.kill()
            process.wait()

    def _has_all_slots(self) -> bool:
        try:
            free = self.rest.overview()["slots-available"]
            return bool(free == NUM_TASK_MANAGERS == len(self.rest.task_managers()))
        except FlinkUnreachableError:
            return False

    def _supervise(self) -> None:
        while not self._is_closing.wait(_RESTART_SECONDS):
            for name, process in list(self._processes.items()):
                if process.poll() is not None:
                    self._start(name)

    def _start(self, name: str) -> None:
        with (self.folder / "logs" / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                self._commands[name],
                env={
                    **os.environ,
                    "CUDA_VISIBLE_DEVICES": GPUS,
                    "BEAM_CURATE_LOGS": str(self.folder / "workers"),
                },
                # Not the checkout: Python would find this program there first.
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _java(self, *options: str) -> list[str]:
        *others, classpath = options
        log4j = f"-Dlog4j.configurationFile=file:{self.folder}/conf/log4j-console.properties"
        # Of short life, like the tests.
        quick = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
        return ["java", *quick, *others, *_OPEN, log4j, "-cp", classpath]

    def _parameters(self, conf: Path) -> tuple[list[str], list[str]]:
        """Return what Flink's scripts give a TaskManager: options of Java, and of Flink."""
        classpath = f"{self._home}/bin/bash-java-utils.jar:{self._home}/lib/*"
        command = ["java", "-cp", classpath, _TOOL, "GET_TM_RESOURCE_PARAMS", "--configDir"]
        output = subprocess.run([*command, str(conf)], capture_output=True, text=True, check=True)
        memory, dynamic = re.findall(r"BASH_JAVA_UTILS_EXEC_RESULT:(.*)", output.stdout)
        return memory.split(), dynamic.split()


@contextlib.contextmanager
def running_cluster(folder: Path) -> Iterator[FlinkCluster]:
    """Run a cluster while the context is open; skip the test where that cannot be.

    ``REQUIRE_CLUSTER=1`` says that it must be: then the test fails instead.
    """
    home, jar = flink_home(), job_server_jar()
    missing = [
        *(["java"] if shutil.which("java") is None else []),
        *(["Flink (pip install --no-deps apache-flink-libraries==1.19.3)"] if not home else []),
        *(["the jar of Beam's job server (runners/flink_job_server)"] if not jar else []),
    ]
    if missing:
        problem = f"a Flink cluster needs {', '.join(missing)}"
        if os.environ.get("REQUIRE_CLUSTER") == "1":
            pytest.fail(problem)
        pytest.skip(problem)
    assert home is not None
    assert jar is not None
    with contextlib.closing(FlinkCluster(home, jar, folder)) as cluster:
        cluster.start()
        yield cluster


def flink_home() -> Path | None:
    """Return the folder of a Flink, if one is installed."""
    named = os.environ.get("BEAM_CURATE_FLINK_HOME")
    if named:
        return Path(named)
    found = importlib.util.find_spec("pyflink")
    folders = [Path(place) for place in (found.submodule_search_locations or ())] if found else []
    return next((folder for folder in folders if (folder / "lib").is_dir()), None)


def job_server_jar() -> Path | None:
    """Return the jar of Beam's job server, if there is one."""
    named = os.environ.get("BEAM_CURATE_FLINK_JAR")
    if named:
        return Path(named)
    return next(iter(sorted(BUILT.expanduser().glob("*.jar"))), None)


def free_ports(count: int) -> list[int]:
    """Return ports of this machine that nobody uses."""
    with contextlib.ExitStack() as opened:
        sockets = [opened.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]
