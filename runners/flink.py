"""Flink: ``--runner=FlinkRunner --flink_master HOST:PORT``; everything else is set here.

The job is submitted through Beam's job server, followed by Flink's REST interface, and never left
running: not after an error, not after Ctrl-C, not when this process is killed (``job_guard``).
"""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import os
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runners.boot_order import VARIABLE, BootOrder, program_facts, python_path
from runners.flink_checks import Cluster, check_cluster
from runners.flink_rest import FlinkRest, FlinkUnreachableError
from runners.flink_watch import FlinkJobError, FlinkLostError, follow
from runners.interface import Build, Job
from runners.job_guard import cancel_job
from runners.job_server import JobServer, running_job_server
from transforms.errors import PreflightError
from transforms.scratch import new_run_id

if TYPE_CHECKING:
    from apache_beam.options.pipeline_options import PipelineOptions

IS_LOCAL = False
BOOT = Path(__file__).resolve().parent / "boot.sh"
INSTALLED_BOOT = "beam-curate-worker"
"""Console script of the boot program, beside the Python it is installed for."""
PRESET = {
    "default_sdk_harness_log_level": "WARN",
    "experiments": "disable_logging_submission_environment",
}
"""Options of Beam and of its Flink runner, unless the user gives others."""
RETRIES = 3
"""A machine may be lost; what was committed is not done again."""
RETRY_DELAY_MS = 5000
_APPEAR_SECONDS = 120.0
_BACK_SECONDS = 60.0
"""So long a TaskManager is waited for that was lost."""
_POLL_SECONDS = 0.3

_logger = logging.getLogger(__name__)


def preflight(beam_flags: list[str]) -> None:
    """Check that the cluster answers and has room, and that Java and the jar are there.

    Raises:
        UsageError: The options contradict each other.
        PreflightError: Something is missing; says what to do.
    """
    _cluster(beam_flags)


def prepare(beam_flags: list[str]) -> None:
    """Do nothing: workers check their machines when they start."""


def num_workers(beam_flags: list[str]) -> int | None:
    """Return the slots of the machine that has most of them."""
    return _cluster(beam_flags).slots_per_machine


def run(build: Build, beam_flags: list[str], job: Job | None = None) -> None:
    """Submit a graph and follow it to its end.

    Args:
        build: Attaches the graph to the pipeline's root.
        beam_flags: Options of Beam.
        job: The run.

    Raises:
        CurateError: As a step raised it.
        PreflightError: A worker cannot start.
        FlinkJobError: A step raised something else, the job hangs, or was lost too often.
        JobServerError: Beam's job server does not start, or ended too early.
        KeyboardInterrupt: The user ended the run; the job is cancelled.
    """
    job = job or Job(new_run_id())
    retries, delay_seconds = _retries(beam_flags)
    cluster = _cluster(beam_flags)
    for attempt in itertools.count(1):
        try:
            _run_once(build, beam_flags, cluster, job)
            return
        except FlinkLostError as error:
            if attempt > retries:
                raise
            _logger.warning("%s; attempt %d of %d follows", error, attempt + 1, retries + 1)
        time.sleep(delay_seconds)
        cluster = _cluster_again(beam_flags, cluster.parallelism)


def _run_once(build: Build, beam_flags: list[str], cluster: Cluster, job: Job) -> None:
    # Of its own for each job: a run may have several.
    name = f"beam-curate-{job.run_id}-{uuid.uuid4().hex[:6]}"
    with (
        running_job_server(cluster.jar, cluster.rest.url, name) as server,
        _cancelled(cluster.rest, name),
    ):
        options = _options(beam_flags, cluster, job, name, server)
        job_id = _submit(build, options, cluster.rest, name, server)
        _logger.info("Flink job %s: %s/#/job/%s", name, cluster.rest.url, job_id)
        follow(
            cluster.rest,
            job_id,
            progress=job.progress,
            stall_seconds=job.stall_seconds,
            reports=job.reports,
        )


def _retries(beam_flags: list[str]) -> tuple[int, float]:
    """Return how often a lost job is submitted again, and after how many seconds.

    Beam's runner does not hand these options to Flink for a batch job.
    """
    from runners.flink_options import FlinkJobOptions  # noqa: PLC0415 - imports Beam

    given = FlinkJobOptions(beam_flags).get_all_options()
    delay_ms = given.get("execution_retry_delay", RETRY_DELAY_MS)
    return given.get("number_of_execution_retries", RETRIES), delay_ms / 1000


def _cluster_again(beam_flags: list[str], parallelism: int) -> Cluster:
    """Return the cluster when a lost TaskManager is back, or without it when it does not come."""
    deadline = time.monotonic() + _BACK_SECONDS
    while True:
        is_late = time.monotonic() > deadline
        try:
            cluster = _cluster(beam_flags)
            if is_late or cluster.parallelism >= parallelism:
                return cluster
        except PreflightError:
            if is_late:
                raise
        time.sleep(_POLL_SECONDS)


def _cluster(beam_flags: list[str]) -> Cluster:
    from apache_beam.options.pipeline_options import PipelineOptions  # noqa: PLC0415

    return check_cluster(PipelineOptions(beam_flags))


@contextlib.contextmanager
def _cancelled(rest: FlinkRest, name: str) -> Iterator[None]:
    """Cancel the job when an error or a signal ends the context."""
    try:
        yield
    except BaseException:
        if not cancel_job(rest, name):
            _logger.warning("%s: no answer, so job %s may still run there", rest.url, name)
        raise


def _options(
    beam_flags: list[str], cluster: Cluster, job: Job, name: str, server: JobServer
) -> PipelineOptions:
    """Return the flags of the user, and what they leave open."""
    from apache_beam.options.pipeline_options import PipelineOptions  # noqa: PLC0415

    import runners.flink_options  # noqa: F401, PLC0415 - declares what the preset sets

    given = {flag.partition("=")[0].removeprefix("--") for flag in beam_flags}
    order = _order(cluster, job)
    preset = {
        **PRESET,
        "flink_version": cluster.version,
        "parallelism": cluster.parallelism,
        "job_name": name,
        "job_endpoint": server.endpoint,
    }
    if "environment_type" not in given:
        preset["environment_type"] = "PROCESS"
        preset["environment_config"] = json.dumps(_process(order, job))
        given.discard("environment_config")
        beam_flags = [flag for flag in beam_flags if not flag.startswith("--environment_config")]
    elif "--environment_type=EXTERNAL" in beam_flags:
        beam_flags = [_with_order(flag, order, job) for flag in beam_flags]
    flags = [f"--{option}={value}" for option, value in preset.items() if option not in given]
    kept = [flag for flag in beam_flags if not flag.startswith("--runner=")]
    return PipelineOptions([*flags, *kept])


def _order(cluster: Cluster, job: Job) -> BootOrder:
    return BootOrder(
        program=dict(program_facts()),
        visible=job.visible,
        scratch_path=job.scratch_path,
        log_level=logging.getLevelName(logging.getLogger().level),
        workers_here=cluster.slots_per_machine,
        reports=job.reports,
    )


def _process(order: BootOrder, job: Job) -> dict[str, Any]:
    """Return how a TaskManager starts a worker."""
    environment = {**job.environment, VARIABLE: order.to_json()}
    if job.worker_python is not None:
        command = Path(job.worker_python).parent / INSTALLED_BOOT
        return {"command": os.fspath(command), "env": environment}
    environment |= {
        "BEAM_CURATE_PYTHON": sys.executable,
        "PYTHONPATH": python_path(),
    }
    return {"command": os.fspath(BOOT), "env": environment}


def _with_order(flag: str, order: BootOrder, job: Job) -> str:
    """Return the address of a worker pool with what it needs to know; other flags as they are."""
    name, _, value = flag.partition("=")
    if name != "--environment_config" or value.startswith("{"):
        return flag
    params = {**job.environment, VARIABLE: order.to_json()}
    return f"{name}={json.dumps({'url': value, 'params': params})}"


def _submit(
    build: Build, options: PipelineOptions, rest: FlinkRest, name: str, server: JobServer
) -> str:
    """Hand the graph to the job server and return the id that Flink gives the job."""
    import apache_beam as beam  # noqa: PLC0415
    import grpc  # noqa: PLC0415
    from apache_beam.runners.portability.portable_runner import PortableRunner  # noqa: PLC0415

    pipeline = beam.Pipeline(runner=PortableRunner(), options=options)
    build(pipeline)
    try:
        result = pipeline.run()
        return _appeared(result, rest, name, server)
    except grpc.RpcError as error:
        problem = server.end or f"{error.code()}{server.last_words}"
        raise FlinkJobError(f"the job could not be submitted: {problem}") from error


def _appeared(result: Any, rest: FlinkRest, name: str, server: JobServer) -> str:
    """Wait until Flink knows the job; its jar is 160 MB that every job uploads."""
    messages = _Messages(result)
    deadline = time.monotonic() + _APPEAR_SECONDS
    while time.monotonic() < deadline:
        # While it takes in a job, a JobManager may be too busy to answer.
        with contextlib.suppress(FlinkUnreachableError):
            for known in rest.jobs():
                if known.name == name:
                    return known.job_id
        if server.end:
            raise FlinkJobError(f"the job could not be submitted: {server.end}")
        if result.state in ("FAILED", "CANCELLED"):
            raise FlinkJobError(f"Flink refused the job: {messages.error()}")
        time.sleep(_POLL_SECONDS)
    raise FlinkJobError(f"Flink did not take the job within {_APPEAR_SECONDS:.0f} seconds")


class _Messages:
    """What the job server says of the job; read by a thread, as the stream never ends."""

    def __init__(self, result: Any) -> None:
        self._texts: list[str] = []
        stream = result._message_stream
        threading.Thread(target=self._read, args=(stream,), daemon=True).start()

    def error(self) -> str:
        """Return the root of the last error."""
        time.sleep(_POLL_SECONDS)
        lines = [line for text in self._texts for line in text.strip().splitlines()]
        causes = [line for line in lines if line.startswith("Caused by: ")] or lines
        return causes[-1] if causes else "it does not say why"

    def _read(self, stream: Any) -> None:
        import grpc  # noqa: PLC0415

        try:
            for message in stream:
                if message.HasField("message_response"):
                    self._texts.append(message.message_response.message_text)
        except grpc.RpcError:
            # The job server is gone.
            return
