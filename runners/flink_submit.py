"""Hands a graph to Beam's job server and waits until Flink has the job."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING, Any

from runners.flink_rest import FlinkRest, FlinkUnreachableError
from runners.flink_watch import FlinkJobError
from runners.interface import Build
from runners.job_guard import APPEAR_SECONDS
from runners.job_server import JobServer

if TYPE_CHECKING:
    from apache_beam.options.pipeline_options import PipelineOptions

_POLL_SECONDS = 0.3


def submit(
    build: Build, options: PipelineOptions, rest: FlinkRest, name: str, server: JobServer
) -> str:
    """Hand the graph to the job server and return the id that Flink gives the job.

    Args:
        build: Attaches the graph to the pipeline's root.
        options: Of the job.
        rest: The JobManager.
        name: Of the job; no other has it.
        server: The job server.

    Raises:
        FlinkJobError: The job did not get there; says why.
    """
    import apache_beam as beam  # noqa: PLC0415
    import grpc  # noqa: PLC0415
    from apache_beam.runners.portability.portable_runner import PortableRunner  # noqa: PLC0415

    pipeline = beam.Pipeline(runner=PortableRunner(), options=options)
    build(pipeline)
    server.is_submitting = True
    try:
        result = pipeline.run()
        return _appeared(result, rest, name, server)
    except grpc.RpcError as error:
        problem = server.end or f"{error.code()}{server.last_words}"
        raise FlinkJobError(f"the job could not be submitted: {problem}") from error


def _appeared(result: Any, rest: FlinkRest, name: str, server: JobServer) -> str:
    """Wait until Flink knows the job; its jar is 160 MB that every job uploads."""
    messages = _Messages(result)
    deadline = time.monotonic() + APPEAR_SECONDS
    while time.monotonic() < deadline:
        # While it takes in a job, a JobManager may be too busy to answer.
        with contextlib.suppress(FlinkUnreachableError):
            for known in rest.jobs():
                if known.name == name:
                    return known.job_id
        if server.end:
            raise FlinkJobError(f"the job could not be submitted: {server.end}")
        if result.state in ("FAILED", "CANCELLED"):
            server.is_submitting = False
            raise FlinkJobError(f"Flink refused the job: {messages.error()}")
        time.sleep(_POLL_SECONDS)
    raise FlinkJobError(f"Flink did not take the job within {APPEAR_SECONDS:.0f} seconds")


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
