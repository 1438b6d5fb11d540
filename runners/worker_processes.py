"""Worker processes of a local run, watched: when one dies, the run ends and says so.

Beam's driver waits for ever for the answer of a worker that was killed, and for one that never
connects. A bundle here is the whole share of a worker, so that the others go when one is gone.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import grpc
from apache_beam.portability import python_urns
from apache_beam.portability.api import beam_fn_api_pb2, endpoints_pb2
from apache_beam.runners.portability.fn_api_runner import worker_handlers
from google.protobuf import json_format, text_format

from runners.local_worker import DRIVER_VARIABLE

START_SECONDS = 55.0
"""A worker that has not connected by then never will."""
STOP_SECONDS = 10.0
"""A worker that is told to end and has not by then is killed."""
_LOOK_SECONDS = 0.2


class _Workers:
    """The workers of the run in this process, and the first thing that went wrong with one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.failure: str | None = None
        self.running: list[LocalWorkerHandler] = []

    def fail(self, message: str) -> None:
        with self._lock:
            if self.failure is not None:
                return
            self.failure = message
            running = list(self.running)
        for handler in running:
            handler.kill()


_workers = _Workers()


@contextlib.contextmanager
def watched() -> Iterator[_Workers]:
    """Let workers of our own kind serve Beam's runner; tells what went wrong with one of them."""
    global _workers  # noqa: PLW0603 - Beam makes the handlers, and hands nothing on to them
    _workers = _Workers()
    name = python_urns.SUBPROCESS_SDK
    register: Any = worker_handlers.WorkerHandler.register_environment(name, bytes)
    before = worker_handlers.WorkerHandler._registered_environments[name][0]
    register(LocalWorkerHandler)
    try:
        yield _workers
    finally:
        register(before)


class LocalWorkerHandler(worker_handlers.GrpcWorkerHandler):
    """Starts one worker process, and answers for it when it is dead.

    Args:
        command: The worker's command line, for a shell.
        state: Of Beam.
        provision_info: Of Beam.
        grpc_server: Of Beam.
    """

    def __init__(self, command: bytes, state: Any, provision_info: Any, grpc_server: Any) -> None:
        super().__init__(state, provision_info, grpc_server)
        self._command = command.decode()
        self._is_stopping = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._push = self.control_conn.push
        # Beam's threads end with a traceback on standard error when the connection breaks. What
        # that means the watch tells.
        self.control_conn._read_thread = threading.Thread(
            name="beam_control_read", target=_quiet(self.control_conn._read), daemon=True
        )
        data_connection: Any = self.data_conn
        data_connection._read_inputs = _quiet(self.data_conn._read_inputs)

    def start_worker(self) -> None:
        """Start the process and watch it."""
        endpoint = endpoints_pb2.ApiServiceDescriptor(url=self.control_address)
        options = self.provision_info.provision_info.pipeline_options
        environment = {
            **os.environ,
            "CONTROL_API_SERVICE_DESCRIPTOR": text_format.MessageToString(endpoint),
            "PIPELINE_OPTIONS": json_format.MessageToJson(options),
            "WORKER_ID": self.worker_id,
            DRIVER_VARIABLE: str(os.getpid()),
        }
        with worker_handlers.SUBPROCESS_LOCK:
            self._process = subprocess.Popen(self._command, shell=True, env=environment)
        _workers.running.append(self)
        threading.Thread(name="watch_worker", target=self._watch, daemon=True).start()

    def close(self) -> None:
        """Tell the process to end and wait for it."""
        self._is_stopping.set()
        self.control_conn.close()
        # It raises once more what broke it; the watch has told what that was.
        with contextlib.suppress(grpc.RpcError):
            self.data_conn.close()
        self.stop_worker()

    def stop_worker(self) -> None:
        """Wait for the process; kill it when it takes too long."""
        if self._process is None:
            return
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            self._process.wait()

    def kill(self) -> None:
        """End the process at once."""
        if self._process is not None:
            self._process.kill()

    def _watch(self) -> None:
        process = self._process
        if process is None:
            raise RuntimeError("a worker is watched before it was started")
        late_at = time.monotonic() + START_SECONDS
        while process.poll() is None:
            if self._is_stopping.wait(_LOOK_SECONDS):
                return
            if not self._is_connected and time.monotonic() > late_at:
                seconds = f"{START_SECONDS:.0f} seconds"
                _workers.fail(f"worker process {process.pid} did not connect within {seconds}")
        _workers.fail(
            f"worker process {process.pid} {_how_it_ended(process.returncode)}; when the system "
            "did that for want of memory, take fewer workers (--direct_num_workers)"
        )
        while not self._is_stopping.is_set():
            # Again and again: another thread may just be asking it something.
            self._answer_all(str(_workers.failure))
            self._is_stopping.wait(_LOOK_SECONDS)

    @property
    def _is_connected(self) -> bool:
        unstarted = worker_handlers.BeamFnControlServicer.UNSTARTED_STATE
        return bool(self.control_conn._state != unstarted)

    def _answer_all(self, message: str) -> None:
        """Answer everything that the dead worker was asked, and will be, with an error."""

        def push(request: Any) -> Any:
            if request is worker_handlers.BeamFnControlServicer._DONE_MARKER:
                return self._push(request)
            future = worker_handlers.ControlFuture(request.instruction_id)
            future.set(_error(request.instruction_id, message))
            return future

        connection: Any = self.control_conn
        connection.push = push
        for name, future in list(connection._futures_by_id.items()):
            if not future.is_done():
                future.set(_error(name, message))


def _quiet(read: Callable[..., None]) -> Callable[..., None]:
    def quietly(*arguments: Any) -> None:
        with contextlib.suppress(grpc.RpcError):
            read(*arguments)

    return quietly


def _error(instruction_id: str, message: str) -> Any:
    return beam_fn_api_pb2.InstructionResponse(instruction_id=instruction_id, error=message)


def _how_it_ended(status: int) -> str:
    if status >= 0:
        return f"ended with exit status {status} in the middle of the run"
    return f"was killed by {signal.Signals(-status).name}"
