"""What is looked at before a job goes to Flink; each problem with what to do about it."""

from __future__ import annotations

import contextlib
import shutil
import socket
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from runners.flink_jar import find_jar, how_to_get_one, minor_version
from runners.flink_rest import (
    TIMEOUT_SECONDS,
    FlinkAnswerError,
    FlinkRest,
    FlinkUnreachableError,
)
from runners.job_server import java_path
from transforms.errors import PreflightError, UsageError


@dataclass(frozen=True)
class Cluster:
    """A Flink cluster that can take a job."""

    rest: FlinkRest
    version: str
    """Minor version, such as ``1.19``."""
    parallelism: int
    """Slots for the job."""
    slots_per_machine: int
    """Of the machine that has most."""
    jar: str
    """Of the job server."""


def check_cluster(options: Any) -> Cluster:
    """Look at cluster, Java and jar; five seconds at most when something does not answer.

    Args:
        options: ``PipelineOptions``.

    Raises:
        UsageError: No address is given, or the version given is not the cluster's.
        PreflightError: Something is missing or full.
    """
    from apache_beam.options.pipeline_options import (  # noqa: PLC0415 - two seconds
        FlinkRunnerOptions,
        JobServerOptions,
    )

    flink, server = options.view_as(FlinkRunnerOptions), options.view_as(JobServerOptions)
    master = flink.flink_master
    if not master or master.startswith("["):
        raise UsageError(
            "--runner=FlinkRunner needs --flink_master HOST:PORT, the address of the JobManager's "
            "REST interface (its port is 8081 unless rest.port says otherwise)"
        )
    rest = FlinkRest(master)
    version, overview, managers = _asked(rest, master)
    asked = options.get_all_options(drop_default=True).get("flink_version")
    if asked and asked != version:
        raise UsageError(f"--flink_version={asked}: the cluster at {master} is Flink {version}")
    return Cluster(
        rest=rest,
        version=version,
        parallelism=_slots(master, overview, flink.parallelism),
        slots_per_machine=max(_slots_of_machines(managers).values(), default=1),
        jar=_java_and_jar(version, flink.flink_job_server_jar, server.jar_cache_dir),
    )


def _asked(rest: FlinkRest, master: str) -> tuple[str, dict[str, Any], list[dict[str, Any]]]:
    """Return the cluster's minor version, its overview and its TaskManagers."""
    try:
        return minor_version(rest.version()), rest.overview(), rest.task_managers()
    except FlinkUnreachableError as error:
        raise PreflightError(
            f"--flink_master={master}: {error}; start the cluster, or give the address of its "
            "JobManager's REST interface"
        ) from error
    except FlinkAnswerError as error:
        raise PreflightError(f"--flink_master={master}: {error}; give another address") from error


def _slots(master: str, overview: dict[str, Any], asked: int) -> int:
    free, total = overview["slots-available"], overview["slots-total"]
    if not overview["taskmanagers"]:
        raise PreflightError(
            f"{master}: the cluster has no TaskManager; start one on each machine that works"
        )
    wanted = asked if asked > 0 else max(free, 1)
    if free < wanted:
        raise PreflightError(
            f"{master}: needed {wanted} free slots, got {free} of {total}, with "
            f"{overview['jobs-running']} jobs running; wait for them, cancel them, add "
            "TaskManagers, or ask for fewer with --parallelism"
        )
    return wanted


def _slots_of_machines(managers: list[dict[str, Any]]) -> Counter[str]:
    slots: Counter[str] = Counter()
    for manager in managers:
        # pekko.tcp://flink@HOST:PORT/user/rpc/taskmanager_0
        host = manager["path"].partition("@")[2].partition("/")[0].rpartition(":")[0]
        slots[host] += manager["slotsNumber"]
    return slots


def _java_and_jar(version: str, named: str | None, cache_dir: str | None) -> str:
    jar = find_jar(version, named=named, cache_dir=cache_dir)
    if shutil.which(java_path()) is None:
        raise PreflightError(
            f"{java_path()}: no such program; Beam's job server needs Java 11 or 17 on this "
            "machine: install it, or set JAVA_HOME"
        )
    return jar if jar is not None else _download(version)


@contextlib.contextmanager
def _answers_awaited() -> Iterator[None]:
    """Let connections that are opened in the context wait a few seconds only, not for ever."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT_SECONDS)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _download(version: str) -> str:
    """Return the jar that Beam downloads, kept in its cache.

    Raises:
        PreflightError: It cannot be had.
    """
    from apache_beam.options.pipeline_options import FlinkRunnerOptions  # noqa: PLC0415
    from apache_beam.utils.subprocess_server import JavaJarServer  # noqa: PLC0415

    problem = f"Beam knows no job server for Flink {version}"
    if version in FlinkRunnerOptions.PUBLISHED_FLINK_VERSIONS:
        target = f":runners:flink:{version}:job-server:shadowJar"
        try:
            with _answers_awaited():
                return str(JavaJarServer.local_jar(JavaJarServer.path_to_beam_jar(target)))
        except (RuntimeError, OSError, ValueError) as error:
            problem = f"Beam could not download it ({str(error).splitlines()[0][:200]})"
    raise PreflightError(
        f"the jar of Beam's job server for Flink {version} is missing, and {problem}; "
        f"{how_to_get_one(version)}"
    )
