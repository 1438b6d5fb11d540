"""A real SLURM of two nodes on this machine, under one temporary folder.

Each node is a machine of its own as far as the kernel lets it: network, host name, processes and
local scratch. Where namespaces are not permitted, both nodes are daemons on this host.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from lab_hosts import ADDRESSES, Hosts, HostsError

NODES = ("node1", "node2")
_PROGRAMS = ("slurmctld", "slurmd", "munged", "mungekey", "sbatch", "unshare", "nsenter")
_PATIENCE_SECONDS = 60
_OVER = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "PREEMPTED", "OUT_OF_MEMORY")

_CONF = """\
ClusterName=lab
SlurmctldHost={controller}
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={lab}/munge/socket,cred_expire=5
CredType=cred/munge
StateSaveLocation={lab}/state
SlurmdSpoolDir={lab}/spool/%n
SlurmctldPidFile={lab}/run/slurmctld.pid
SlurmdPidFile={lab}/run/slurmd.%n.pid
SlurmctldLogFile={lab}/log/slurmctld.log
SlurmdLogFile={lab}/log/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,bf_interval=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
GresTypes=gpu
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
InactiveLimit=0
KillWait=60
MinJobAge=600
SlurmctldTimeout=60
SlurmdTimeout=60
{nodes}
PartitionName=main Nodes=node[1-2] Default=YES MaxTime=INFINITE PriorityTier=1 GraceTime=60 State=UP
PartitionName=urgent Nodes=node[1-2] MaxTime=INFINITE PriorityTier=10 State=UP
"""
_GRES = """\
AutoDetect=off
NodeName=node1 Name=gpu File={lab}/dev/n1-nvidia[0-1]
NodeName=node2 Name=gpu File={lab}/dev/n2-nvidia[0-1]
"""


class LabError(Exception):
    """No SLURM can be run here; the message says why."""


@dataclass
class SlurmLab:
    """The cluster while it runs."""

    folder: Path
    hosts: Hosts | None = None
    """The controller and the nodes; None: all are this machine."""
    has_gpus: bool = False
    """Whether nodes have two GPUs each; they are devices that SLURM takes for GPUs."""
    _daemons: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def shared(self) -> Path:
        """A folder that all nodes see."""
        return self.folder / "shared"

    @property
    def scratch(self) -> Path:
        """A folder that is another one on each node."""
        return self.folder / "local"

    @property
    def environment(self) -> dict[str, str]:
        """What SLURM's commands need."""
        return {"SLURM_CONF": str(self.folder / "conf" / "slurm.conf")}

    def on(self, host: str, command: Sequence[str]) -> list[str]:
        """Return the command that runs ``command`` on a host: ``ctl``, ``node1`` or ``node2``."""
        return list(command) if self.hosts is None else self.hosts.on(host, command)

    def run(
        self, *command: str | Path, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on the login node to its end."""
        return subprocess.run(
            self.on("ctl", [str(word) for word in command]),
            env={**os.environ, **self.environment, **(env or {})},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    def told(self, *command: str) -> str:
        """Return what a command of SLURM prints; it must succeed."""
        result = self.run(*command)
        assert result.returncode == 0, f"{shlex.join(command)}: {result.stderr}"
        return result.stdout

    def job(self, job_id: str) -> dict[str, str]:
        """Return the fields of a job."""
        line = self.told("scontrol", "show", "job", "-o", job_id)
        return dict(re.findall(r"(\w[\w/:]*)=(.*?)(?=\s[A-Z][\w/:]*=|\s*$)", line))

    def wait(self, job_id: str, seconds: float = 300) -> dict[str, str]:
        """Return the fields of a job when it is over."""
        deadline = time.monotonic() + seconds
        while (found := self.job(job_id))["JobState"] not in _OVER:
            assert time.monotonic() < deadline, f"{found}\n{self.log(found)}"
            time.sleep(0.5)
        return found

    def log(self, job: Mapping[str, str]) -> str:
        """Return a job's log; empty when it has not begun."""
        path = Path(job.get("StdOut", "/nowhere"))
        return path.read_text(errors="replace") if path.exists() else ""

    def processes(self, job_id: str) -> list[str]:
        """Return the command lines of what runs anywhere as part of a job."""
        mark = f"SLURM_JOB_ID={job_id}".encode()
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
                variables = (folder / "environ").read_bytes().split(b"\0")
                if mark in variables and str(self.folder).encode() in b"\0".join(variables):
                    found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        return found

    def assert_gone(self, job_id: str) -> None:
        """Assert that nothing of a job runs or lies on any node, thirty seconds later at most."""
        deadline = time.monotonic() + 30
        while left := [*self.processes(job_id), *map(str, self.left_files())]:
            log = self.log(self.job(job_id))
            assert time.monotonic() < deadline, f"still there: {left}\n{log}"
            time.sleep(0.2)

    def left_files(self) -> list[Path]:
        """Return what lies in the Flink folders of the nodes' own scratch."""
        return [
            path
            for path in self.folder.glob("**/beam-curate-flink-*/*")
            if path.name != "sweep.lock"
        ]

    def gpus_of_workers(self, job_id: str) -> set[tuple[str, str]]:
        """Return (node, GPUs it sees) of each worker process of a job."""
        found = set()
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
                words = (folder / "cmdline").read_bytes().decode().split("\0")
                variables = dict(
                    variable.split("=", 1)
                    for variable in (folder / "environ").read_bytes().decode().split("\0")
                    if "=" in variable
                )
                if variables.get("SLURM_JOB_ID") == job_id and "runners.cluster_worker" in words:
                    gpus = variables.get("CUDA_VISIBLE_DEVICES", "")
                    found.add((variables["SLURMD_NODENAME"], gpus))
        return found

    def kill(self, job_id: str, *needles: str) -> None:
        """Kill -9 the processes of a job whose command line has all of these words."""
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
                words = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                environ = (folder / "environ").read_bytes().split(b"\0")
                mine = f"SLURM_JOB_ID={job_id}".encode() in environ
                if mine and all(needle in words for needle in needles):
                    os.kill(int(folder.name), signal.SIGKILL)


@contextlib.contextmanager
def slurm_lab() -> Iterator[SlurmLab]:
    """Run a SLURM of two nodes while the context is open.

    Raises:
        LabError: It cannot run here; says why.
    """
    missing = [program for program in _PROGRAMS if shutil.which(program) is None]
    if missing:
        raise LabError(f"{', '.join(missing)} not installed: apt-get install slurm-wlm munge")
    if os.geteuid() != 0:
        raise LabError("slurmd needs root")
    # Not below pytest's folder: munged wants folders that everybody may pass.
    folder = Path(tempfile.mkdtemp(prefix="slurm-lab-"))
    folder.chmod(0o755)
    lab = SlurmLab(folder)
    try:
        _start(lab)
        yield lab
    finally:
        _stop(lab)
        shutil.rmtree(folder, ignore_errors=True)


def _start(lab: SlurmLab) -> None:
    for name in ("conf", "munge", "state", "spool", "run", "log", "dev", "shared", "local"):
        (lab.folder / name).mkdir(mode=0o755)
    for node in NODES:
        (lab.folder / "fs" / node).mkdir(parents=True)
        (lab.folder / "spool" / node).mkdir()
    _start_hosts(lab)
    _write_conf(lab)
    munge = lab.folder / "munge"
    subprocess.run(["mungekey", "-c", "-k", munge / "key"], check=True)
    _daemon(
        lab,
        "ctl",
        [
            *("munged", "--foreground", f"--key-file={munge}/key", f"--socket={munge}/socket"),
            *(f"--log-file={munge}/log", f"--pid-file={munge}/pid", f"--seed-file={munge}/seed"),
        ],
    )
    _until((munge / "socket").exists, "munged did not start", lab)
    _daemon(lab, "ctl", ["slurmctld", "-c", "-D"])
    for node in NODES:
        _daemon(lab, node, ["slurmd", "-D", *(("-N", node) if lab.hosts is None else ())])
    _until(lambda: _num_idle(lab) == len(NODES), "the nodes did not come up", lab)


def _start_hosts(lab: SlurmLab) -> None:
    """Make the three hosts, as far as that is permitted."""
    try:
        lab.hosts = Hosts.start(lab.folder, dict.fromkeys(NODES, lab.scratch))
    except HostsError as error:
        _fail_if_required(f"no namespaces: {error}")
        print(f"no namespaces, both nodes are on this host: {error}")


def _fail_if_required(problem: str) -> None:
    """Fail where ``REQUIRE_CLUSTER=1`` says that nodes must be hosts of their own with GPUs."""
    if os.environ.get("REQUIRE_CLUSTER") == "1":
        pytest.fail(problem)


def _write_conf(lab: SlurmLab) -> None:
    has_gpus = lab.has_gpus = _make_gpus(lab)
    facts = f"CPUs=2 RealMemory=16000{' Gres=gpu:2' if has_gpus else ''} State=UNKNOWN"
    if lab.hosts is not None:
        controller, port = f"ctl({ADDRESSES['ctl']})", 6817
        nodes = "\n".join(f"NodeName={n} NodeAddr={ADDRESSES[n]} {facts}" for n in NODES)
    else:
        name = socket.gethostname().partition(".")[0]
        controller, port = f"{name}(127.0.0.1)", _free_port()
        nodes = "\n".join(
            f"NodeName={n} NodeHostname={name} NodeAddr=127.0.0.1 Port={_free_port()} {facts}"
            for n in NODES
        )
    conf = _CONF.format(lab=lab.folder, controller=controller, port=port, nodes=nodes)
    if not has_gpus:
        conf = conf.replace("GresTypes=gpu\n", "")
    (lab.folder / "conf" / "slurm.conf").write_text(conf)
    if has_gpus:
        (lab.folder / "conf" / "gres.conf").write_text(_GRES.format(lab=lab.folder))


def _make_gpus(lab: SlurmLab) -> bool:
    """Make device files that SLURM takes for GPUs; return whether that is permitted."""
    for node in (1, 2):
        for index in (0, 1):
            path = lab.folder / "dev" / f"n{node}-nvidia{index}"
            if subprocess.run(["mknod", path, "c", "1", "3"], check=False).returncode != 0:
                _fail_if_required(f"mknod {path}: not permitted, so that nodes have no GPUs")
                return False
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _daemon(lab: SlurmLab, host: str, command: Sequence[str]) -> None:
    with (lab.folder / "log" / f"{host}-{command[0]}.out").open("ab") as out:
        daemon = subprocess.Popen(
            lab.on(host, command),
            env={**os.environ, **lab.environment},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    lab._daemons.append(daemon)


def _num_idle(lab: SlurmLab) -> int:
    return lab.run("sinfo", "-h", "-N", "-p", "main", "-o", "%T").stdout.split().count("idle")


def _until(is_done: object, problem: str, lab: SlurmLab) -> None:
    assert callable(is_done)
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not is_done():
        if time.monotonic() > deadline:
            logs = [f"{path.name}: {path.read_text()[-2000:]}" for path in lab.folder.glob("log/*")]
            raise LabError("\n".join([problem, *logs]))
        time.sleep(0.05)


def _stop(lab: SlurmLab) -> None:
    """End hosts and daemons; with the first process of a host all of it goes."""
    if lab.hosts is None and (lab.folder / "conf" / "slurm.conf").exists():
        everything = ["scancel", "--user=root"]
        subprocess.run(everything, env={**os.environ, **lab.environment}, check=False)
        time.sleep(2)
    if lab.hosts is not None:
        lab.hosts.stop()
    for daemon in reversed(lab._daemons):
        daemon.terminate()
        try:
            daemon.wait(10)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()
    lab._daemons.clear()
