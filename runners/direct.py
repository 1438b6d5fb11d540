"""The local preset: Beam's FnApiRunner in this process or in a few worker processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from transforms.errors import PreflightError

FLAGS = ("--runner=FnApiRunner",)
"""``DirectRunner`` is three engines in Beam 2.77, one of them fetched from the network: we name one."""
START_SECONDS = 55.0
"""A worker that has not started by then never will."""


def prepare(beam_flags: list[str]) -> None:
    """Set up this process for a local run.

    Raises:
        PreflightError: Worker processes are asked for and cannot start.
    """
    # Beam flushes a stream from a timer thread without a lock and loses what is written meanwhile,
    # silently; a limit of 0 switches the timer off.
    from apache_beam.runners.portability.fn_api_runner import worker_handlers  # noqa: PLC0415

    worker_handlers.DATA_BUFFER_TIME_LIMIT_MS = 0
    # Workers are started with `python -m`: they find this program however it was found here.
    root = str(Path(__file__).resolve().parent.parent)
    paths = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if root not in paths:
        os.environ["PYTHONPATH"] = os.pathsep.join([root, *filter(None, paths)])
    if num_workers(beam_flags) is not None:
        check_workers_start()


def num_workers(beam_flags: list[str]) -> int | None:
    """Return how many worker processes the flags ask for; None when the run stays in this process."""
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
    command = [sys.executable, "-c", "import apache_beam.runners.worker.sdk_worker_main, transforms"]
    try:
        result = subprocess.run(
            command, capture_output=True, text=True, timeout=START_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PreflightError(f"worker processes cannot start: {error}") from error
    if result.returncode != 0:
        last = result.stderr.strip().splitlines()[-1:] or ["no message"]
        raise PreflightError(
            f"worker processes cannot start: {last[0]} (exit status {result.returncode}); "
            "without --direct_running_mode=multi_processing everything runs in one process"
        )
