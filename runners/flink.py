"""Flink: ``--runner=FlinkRunner --flink_master HOST:PORT``; everything else is set here.

The job is submitted through Beam's job server, followed by Flink's REST interface, and never left
running: not after an error, not after Ctrl-C, not when this process is killed (``job_guard``).
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import logging
import os
import time
import uuid
from collections.abc import Iterator

from runners.boot_checks import tell_to_stop
from runners.flink_checks import Cluster, check_cluster
from runners.flink_preset import job_options, starts_processes, worker_process
from runners.flink_rest import FlinkAnswerError, FlinkRest, FlinkUnreachableError
from runners.flink_submit import submit
from runners.flink_watch import FlinkLostError, follow
from runners.flink_worker_check.check import check_workers as check_task_managers
from runners.interface import Build, Job
from runners.job_guard import APPEAR_SECONDS, LATE_SECONDS, cancel_job
from runners.job_server import JobServer, running_job_server
from runners.local_calls import not_proxied
from transforms.errors import PreflightError
from transforms.scratch import new_run_id
from transforms.storage.uris import join

IS_LOCAL = False
RETRIES = 3
"""A machine may be lost; what was committed is not done again."""
RETRY_DELAY_MS = 5000
_BACK_SECONDS = 60.0
"""So long slots are waited for that were there before: of a lost TaskManager, or taken by another
job."""
_POLL_SECONDS = 0.3
_slots_of_runs: dict[str, int] = {}
"""Id of each run of this process to the slots of its first graph."""

_logger = logging.getLogger(__name__)


def preflight(beam_flags: list[str]) -> None:
    """Check that the cluster answers and has room, and that Java and the jar are there.

    Raises:
        UsageError: The options contradict each other.
        PreflightError: Something is missing; says what to do.
    """
    _cluster(beam_flags)


def prepare(beam_flags: list[str]) -> None:
    """Let this process reach its job server."""
    os.environ.update(not_proxied(os.environ))


def check_workers(beam_flags: list[str], job: Job) -> None:
    """Check program, storage and scratch where TaskManagers start the workers.

    A pool of workers checks its machine when it starts one.

    Raises:
        PreflightError: A worker cannot start on a machine; says which, and why.
    """
    if starts_processes(beam_flags):
        cluster = _cluster(beam_flags)
        check_task_managers(cluster.rest, worker_process(cluster, job), job.run_id)


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
    cluster = _cluster_for(job, beam_flags)
    for attempt in itertools.count(1):
        try:
            _run_once(build, beam_flags, cluster, job)
            return
        except FlinkLostError as error:
            job.lost()
            if attempt > retries:
                raise
            _logger.warning("%s; attempt %d of %d follows", error, attempt + 1, retries + 1)
        time.sleep(delay_seconds)
        cluster = _cluster_again(beam_flags, cluster.parallelism)


def _run_once(build: Build, beam_flags: list[str], cluster: Cluster, job: Job) -> None:
    # Of its own for each job: a run may have several.
    name = f"beam-curate-{job.run_id}-{uuid.uuid4().hex[:6]}"
    if job.reports is not None:
        # What workers of one job are told must not reach those of the next.
        job = dataclasses.replace(job, reports=join(job.reports, name))
    with (
        running_job_server(cluster.jar, cluster.rest.url, name) as server,
        _cancelled(cluster.rest, name, job.reports, server),
    ):
        options = job_options(beam_flags, cluster, job, name, server.endpoint)
        job_id = submit(build, options, cluster.rest, name, server)
        _logger.info("Flink job %s: %s/#/job/%s", name, cluster.rest.url, job_id)
        follow(
            cluster.rest,
            job_id,
            progress=job.progress,
            stall_seconds=job.stall_seconds,
            reports=job.reports,
        )
        if _was_tried_again(cluster.rest, job_id):
            job.lost()


def _was_tried_again(rest: FlinkRest, job_id: str) -> bool:
    try:
        return bool(rest.exceptions(job_id))
    except (FlinkUnreachableError, FlinkAnswerError):
        # The job has finished: a cluster that goes now takes nothing along. It may have been.
        return True


def _retries(beam_flags: list[str]) -> tuple[int, float]:
    """Return how often a lost job is submitted again, and after how many seconds.

    Beam's runner does not hand these options to Flink for a batch job.
    """
    from runners.flink_options import FlinkJobOptions  # noqa: PLC0415 - imports Beam

    given = FlinkJobOptions(beam_flags).get_all_options()
    delay_ms = given.get("execution_retry_delay", RETRY_DELAY_MS)
    return given.get("number_of_execution_retries", RETRIES), delay_ms / 1000


def _cluster_for(job: Job, beam_flags: list[str]) -> Cluster:
    """Return the cluster for a graph of a run, for those after the first with its slots again.

    Between two waves another job may have taken slots, or a TaskManager is just started anew.
    """
    wanted = _slots_of_runs.get(job.run_id)
    if wanted is not None:
        return _cluster_again(beam_flags, wanted)
    cluster = _cluster(beam_flags)
    _slots_of_runs[job.run_id] = cluster.parallelism
    return cluster


def _cluster_again(beam_flags: list[str], parallelism: int) -> Cluster:
    """Return the cluster when it has so many free slots, or a minute later with those it has."""
    deadline = time.monotonic() + _BACK_SECONDS
    while True:
        is_late = time.monotonic() > deadline
        try:
            cluster = _cluster(beam_flags)
            if cluster.parallelism >= parallelism:
                return cluster
            if is_late:
                _logger.warning(
                    "%s: the run goes on with %d slots instead of %d",
                    cluster.rest.url,
                    cluster.parallelism,
                    parallelism,
                )
                return cluster
        except PreflightError:
            if is_late:
                raise
        time.sleep(_POLL_SECONDS)


def _cluster(beam_flags: list[str]) -> Cluster:
    from apache_beam.options.pipeline_options import PipelineOptions  # noqa: PLC0415

    return check_cluster(PipelineOptions(beam_flags))


@contextlib.contextmanager
def _cancelled(
    rest: FlinkRest, name: str, reports: str | None, server: JobServer
) -> Iterator[None]:
    """Cancel the job when an error or a signal ends the context."""
    try:
        yield
    except BaseException:
        # A worker that hangs would keep its task for minutes, whatever Flink says to it.
        tell_to_stop(reports)
        late_seconds = APPEAR_SECONDS if server.is_submitting else LATE_SECONDS
        if not cancel_job(rest, name, late_seconds=late_seconds):
            _logger.warning("%s: no answer, so job %s may still run there", rest.url, name)
        raise
