"""What a job is told: Beam's options, and how a TaskManager starts a worker."""

from __future__ import annotations

import json
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runners.boot_order import VARIABLE, BootOrder, program_facts, python_path
from runners.flink_checks import Cluster
from runners.interface import Job

if TYPE_CHECKING:
    from apache_beam.options.pipeline_options import PipelineOptions

BOOT = Path(__file__).resolve().parent / "boot.sh"
INSTALLED_BOOT = "beam-curate-worker"
"""Console script of the boot program, beside the Python it is installed for."""
PRESET = {
    "default_sdk_harness_log_level": "WARN",
    "experiments": "disable_logging_submission_environment",
}
"""Options of Beam and of its Flink runner, unless the user gives others."""


def job_options(
    beam_flags: list[str], cluster: Cluster, job: Job, name: str, endpoint: str
) -> PipelineOptions:
    """Return the flags of the user, and what they leave open.

    Args:
        beam_flags: Of the user.
        cluster: Where the job goes.
        job: The run.
        name: Of the job.
        endpoint: ``HOST:PORT`` of the job server.
    """
    from apache_beam.options.pipeline_options import PipelineOptions  # noqa: PLC0415

    import runners.flink_options  # noqa: F401, PLC0415 - declares what the preset sets

    given = {flag.partition("=")[0].removeprefix("--") for flag in beam_flags}
    preset = {
        **PRESET,
        "flink_version": cluster.version,
        "parallelism": cluster.parallelism,
        "job_name": name,
        "job_endpoint": endpoint,
    }
    if starts_processes(beam_flags):
        preset["environment_type"] = "PROCESS"
        preset["environment_config"] = json.dumps(worker_process(cluster, job))
        given.discard("environment_config")
        beam_flags = [flag for flag in beam_flags if not flag.startswith("--environment_config")]
    elif "--environment_type=EXTERNAL" in beam_flags:
        order = _order(cluster, job)
        beam_flags = [_with_order(flag, order, job) for flag in beam_flags]
    flags = [f"--{option}={value}" for option, value in preset.items() if option not in given]
    kept = [flag for flag in beam_flags if not flag.startswith("--runner=")]
    return PipelineOptions([*flags, *kept])


def starts_processes(beam_flags: list[str]) -> bool:
    """Return whether TaskManagers start workers as processes: the user says nothing else."""
    return not any(flag.startswith("--environment_type=") for flag in beam_flags)


def _order(cluster: Cluster, job: Job) -> BootOrder:
    return BootOrder(
        program=dict(program_facts()),
        visible=job.visible,
        scratch_path=job.scratch_path,
        log_level=logging.getLevelName(logging.getLogger().level),
        workers_here=cluster.slots_per_machine,
        reports=job.reports,
    )


def worker_process(cluster: Cluster, job: Job) -> dict[str, Any]:
    """Return how a TaskManager starts a worker: ``command`` and ``env``."""
    order = _order(cluster, job)
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
