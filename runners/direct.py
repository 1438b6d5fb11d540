"""The local preset: Beam's FnApiRunner in this process or in a few worker processes."""

from __future__ import annotations

import logging
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

from runners.interface import Build, Job
from runners.step_errors import original_error
from transforms.errors import CurateError, PreflightError

FLAGS = ("--runner=FnApiRunner",)
"""``DirectRunner`` is three engines in Beam 2.77, one fetched from the network: we name one."""
IS_LOCAL = True
START_SECONDS = 55.0
"""A worker that has not started by then never will."""


class WorkerDiedError(CurateError):
    """A worker process ended in the middle of the run, or never began."""


def preflight(beam_flags: list[str]) -> None:
    """Check nothing: what a local run needs is checked with the run's own options."""


def prepare(beam_flags: list[str]) -> None:
    """Set up this process for a local run.

    Raises:
        PreflightError: Worker processes are asked for and cannot start.
    """
    # Beam flushes a stream from a timer thread without a lock and loses what is written meanwhile,
    # silently; a limit of 0 switches the timer off.
    from apache_beam.runners.portability.fn_api_runner import worker_handlers  # noqa: PLC0415

    worker_handlers.DATA_BUFFER_TIME_LIMIT_MS = 0
    if num_workers(beam_flags) is not None:
        check_workers_start()


def run(build: Build, beam_flags: list[str], job: Job | None = None) -> None:
    """Build a graph and run it to its end.

    Args:
        build: Attaches the graph to the pipeline's root.
        beam_flags: Options of Beam.
        job: Not needed: everything is on this machine.

    Raises:
        CurateError: As a step raised it, without what Beam makes of it.
        WorkerDiedError: A worker process is gone; names it.
        KeyboardInterrupt: Likewise.
        RuntimeError: A step raised anything else.
    """
    import apache_beam as beam  # noqa: PLC0415 - two seconds that --help does not need
    from apache_beam.options.pipeline_options import PipelineOptions  # noqa: PLC0415

    from runners.worker_processes import watched  # noqa: PLC0415 - imports Beam

    options = PipelineOptions([*FLAGS, *beam_flags])
    with watched() as workers:
        try:
            with beam.Pipeline(runner=_runner(options), options=options) as root:
                build(root)
        except (CurateError, RuntimeError) as error:
            if workers.failure is not None:
                raise WorkerDiedError(workers.failure) from error
            original = original_error(error)
            if original is None:
                raise
            raise original from error


def _runner(options: Any) -> Any:
    """Return the runner; worker processes are ours, and the options no longer ask for Beam's."""
    from apache_beam.options.pipeline_options import DirectOptions  # noqa: PLC0415
    from apache_beam.runners.portability.fn_api_runner import FnApiRunner  # noqa: PLC0415
    from apache_beam.transforms.environments import SubprocessSDKEnvironment  # noqa: PLC0415

    direct = options.view_as(DirectOptions)
    if direct.direct_running_mode != "multi_processing":
        return FnApiRunner()
    direct.direct_running_mode = None
    level = logging.getLevelName(logging.getLogger().level)
    path, python = shlex.quote(_worker_path()), shlex.quote(sys.executable)
    command = f"PYTHONPATH={path} exec {python} -m runners.local_worker {level}"
    return FnApiRunner(SubprocessSDKEnvironment.from_command_string(command_string=command))


def _worker_path() -> str:
    """Return the PYTHONPATH with which ``python -m`` finds this program as it was found here."""
    root = str(Path(__file__).resolve().parent.parent)
    paths = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    return os.pathsep.join(paths if root in paths else [root, *paths])


def check_workers(beam_flags: list[str], job: Job) -> None:
    """Do nothing: workers are processes of this machine."""


def num_workers(beam_flags: list[str]) -> int | None:
    """Return how many worker processes the flags ask for; None when all stays in this process."""
    from apache_beam.options.pipeline_options import (  # noqa: PLC0415
        DirectOptions,
        PipelineOptions,
    )

    options = PipelineOptions([*FLAGS, *beam_flags]).view_as(DirectOptions)
    if options.direct_running_mode != "multi_processing":
        return None
    return options.direct_num_workers or os.cpu_count() or 1


def check_workers_start() -> None:
    """Start what a worker process starts with, once, and wait for it.

    Beam's driver waits for ever for a worker that dies while it imports.

    Raises:
        PreflightError: The imports of a worker process fail or take too long.
    """
    imports = "runners.local_worker, apache_beam.runners.worker.sdk_worker_main, transforms"
    command = [sys.executable, "-c", f"import {imports}"]
    try:
        result = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=START_SECONDS,
            check=False,
            env={**os.environ, "PYTHONPATH": _worker_path()},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PreflightError(f"worker processes cannot start: {error}") from error
    if result.returncode != 0:
        last = result.stderr.strip().splitlines()[-1:] or ["no message"]
        raise PreflightError(
            f"worker processes cannot start: {last[0]} (exit status {result.returncode}); "
            "without --direct_running_mode=multi_processing everything runs in one process"
        )
