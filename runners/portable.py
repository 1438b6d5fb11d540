"""Beam's portable runner over its local job service, which runs in this process.

The graph crosses a job server, gRPC and coders at every stage break, as on a cluster, and comes out
with the same bytes: an honest second runner for tests. For work, ``DirectRunner`` is faster.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from typing import Any, TextIO, cast

from runners import direct
from runners.interface import Build, Job
from runners.quiet_stderr import WithoutTracebacks
from runners.step_errors import original_error
from transforms.errors import CurateError

FLAGS = ("--environment_type=LOOPBACK",)
"""Steps run in this process, whichever process the job server is; the user's flags come behind."""
IS_LOCAL = True
_TRACEBACK = "Traceback (most recent call last):"


def preflight(beam_flags: list[str]) -> None:
    """Check nothing: this process has all that is needed."""


def prepare(beam_flags: list[str]) -> None:
    """Set up this process, in which the job service streams to its worker as a local run does."""
    direct.prepare(["--direct_running_mode=in_memory"])


def check_workers(beam_flags: list[str], job: Job) -> None:
    """Do nothing: the steps run in this process."""


def num_workers(beam_flags: list[str]) -> int | None:
    """Return None: the steps run in this process."""
    return None


def run(build: Build, beam_flags: list[str], job: Job | None = None) -> None:
    """Build a graph and run it to its end; see ``runners.interface``.

    With ``--job_endpoint`` the job service is the one there instead, which must be on this machine.
    """
    run_portable(build, [*FLAGS, *beam_flags])


def run_portable(build: Build, beam_flags: list[str]) -> None:
    """Run a graph on the job service that the flags name, else on one in this process.

    Raises:
        CurateError: As a step raised it.
        KeyboardInterrupt: The user ended the run; what a step is in stops at its next commit.
        RuntimeError: A step raised anything else.
    """
    import apache_beam as beam  # noqa: PLC0415 - two seconds that --help does not need
    from apache_beam.options.pipeline_options import PipelineOptions  # noqa: PLC0415

    options = PipelineOptions(beam_flags)
    with tempfile.TemporaryDirectory(prefix="beam-curate-job-") as staging, _without_tracebacks():
        pipeline = beam.Pipeline(runner=_runner(staging), options=options)
        build(pipeline)
        try:
            result = pipeline.run()
            try:
                result.wait_until_finish()
            except BaseException:
                # A job server of its own process would go on.
                result.cancel()
                raise
        except (CurateError, RuntimeError) as error:
            original = _original(error)
            if original is None:
                raise
            raise original from error


def _original(error: CurateError | RuntimeError) -> BaseException | None:
    if isinstance(error, CurateError):
        return error
    _, found, rest = str(error).partition(_TRACEBACK)
    return original_error(RuntimeError(found + rest)) if found else None


def _runner(staging: str) -> Any:
    from apache_beam.options.pipeline_options import PortableOptions  # noqa: PLC0415
    from apache_beam.runners.portability import (  # noqa: PLC0415
        local_job_service,
        portable_runner,
    )

    class Job(local_job_service.BeamJob):
        """A job whose thread does not keep the process alive after Ctrl-C."""

        def run(self) -> None:
            self.set_state(portable_runner.beam_job_api_pb2.JobState.STARTING)
            self._run_thread = threading.Thread(target=self._run_job, daemon=True)
            self._run_thread.start()

    class Runner(portable_runner.PortableRunner):
        """Takes a job service of this process where no other is named."""

        def create_job_service(self, options: Any) -> Any:
            if options.view_as(PortableOptions).job_endpoint:
                return super().create_job_service(options)
            service = local_job_service.LocalJobServicer(staging, beam_job_type=Job)
            return self.create_job_service_handle(service, options)

    return Runner()


@contextlib.contextmanager
def _without_tracebacks() -> Iterator[None]:
    """Leave out what Beam logs of a failed job: the exception reaches the command, once."""

    def is_news(record: logging.LogRecord) -> bool:
        return _TRACEBACK not in record.getMessage() and record.exc_info is None

    # Loggers' filters see what is logged by their own name alone.
    names = (
        "root",
        "apache_beam.runners.portability.local_job_service",
        "apache_beam.runners.worker.sdk_worker",
    )
    is_verbose = logging.getLogger().isEnabledFor(logging.DEBUG)
    loggers = [] if is_verbose else [logging.getLogger(name) for name in names]
    for logger in loggers:
        logger.addFilter(is_news)
    hook, stream = threading.excepthook, sys.stderr
    threading.excepthook = _without_broken_connections(hook)
    if not is_verbose:
        # The worker in this process prints them besides.
        sys.stderr = cast(TextIO, WithoutTracebacks(stream))

    def restore() -> None:
        threading.excepthook, sys.stderr = hook, stream
        for logger in loggers:
            logger.removeFilter(is_news)

    try:
        yield
    except KeyboardInterrupt:
        # The job's threads end with the process: what they say of that is no news either.
        raise
    except BaseException:
        restore()
        raise
    restore()


def _without_broken_connections(hook: Callable[[Any], object]) -> Callable[[Any], object]:
    """Return a hook for threads: Beam's end with a traceback when a job server is ended."""
    import grpc  # noqa: PLC0415 - Beam is imported by now

    def told(args: threading.ExceptHookArgs) -> None:
        if not issubclass(args.exc_type, grpc.RpcError):
            hook(args)

    return told
