"""Starts workers where TaskManagers cannot: ``python -m runners.worker_pool --port 15000``.

For TaskManagers without this program's Python (containers of their own): one pool beside each, on
the same host or in the same pod, and ``--environment_type=EXTERNAL --environment_config=
localhost:15000``. Beam's own pool starts whatever ``python`` is on the PATH, lets a worker that
prints block for ever, and never tells that one died; this one runs ``worker_boot`` for each worker
and answers when it has started, or why it could not.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from apache_beam.portability.api import beam_fn_api_pb2, beam_fn_api_pb2_grpc

from runners.boot_checks import PROBLEMS
from runners.start_limit import LATEST_SECONDS
from runners.worker_boot import ENDPOINTS, START_SECONDS

_OURS = "BEAM_CURATE_"
_LOOK_SECONDS = 0.2
_REAP_SECONDS = 3.0
_CONNECT_SECONDS = 2.0
_STOP_SECONDS = 5.0
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Worker:
    worker_id: str
    """Counted per job and TaskManager: it may come again while this one lives."""
    control: str
    """``HOST:PORT`` that it serves; closed when its job has ended."""
    boot: subprocess.Popen[bytes]


class Pool(beam_fn_api_pb2_grpc.BeamFnExternalWorkerPoolServicer):
    """Starts and ends workers for one TaskManager."""

    def __init__(self) -> None:
        self._workers: list[_Worker] = []
        self._lock = threading.Lock()
        self._is_closed = threading.Event()
        threading.Thread(target=self._reap, name="reap", daemon=True).start()

    def StartWorker(self, request: Any, context: Any) -> Any:
        """Start a worker and answer when it has started, or with what kept it from that."""
        with tempfile.TemporaryDirectory(prefix="beam-curate-pool-") as folder:
            started = Path(folder) / "started"
            boot = _start(request, started)
            with self._lock:
                self._workers.append(_Worker(request.worker_id, request.control_endpoint.url, boot))
            deadline = time.monotonic() + START_SECONDS + LATEST_SECONDS + _STOP_SECONDS
            while boot.poll() is None and not started.exists() and time.monotonic() < deadline:
                time.sleep(_LOOK_SECONDS)
            error = "" if started.exists() else _why(boot)
        _logger.info("worker %s: %s", request.worker_id, error or f"pid {boot.pid}")
        return beam_fn_api_pb2.StartWorkerResponse(error=error)

    def StopWorker(self, request: Any, context: Any) -> Any:
        """End a worker; of several with its id those that nobody serves any more are reaped."""
        with self._lock:
            named = [one for one in self._workers if one.worker_id == request.worker_id]
        if len(named) == 1:
            self._end(named[0])
        return beam_fn_api_pb2.StopWorkerResponse()

    def close(self) -> None:
        """End all workers."""
        self._is_closed.set()
        for worker in list(self._workers):
            self._end(worker)

    def _reap(self) -> None:
        # A worker whose TaskManager is gone may hang in its last answer instead of ending.
        while not self._is_closed.wait(_REAP_SECONDS):
            for worker in list(self._workers):
                if worker.boot.poll() is not None or not _listens(worker.control):
                    self._end(worker)

    def _end(self, worker: _Worker) -> None:
        worker.boot.terminate()
        try:
            worker.boot.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            worker.boot.kill()
            worker.boot.wait()
        with self._lock, contextlib.suppress(ValueError):
            self._workers.remove(worker)


def _start(request: Any, started: Path) -> subprocess.Popen[bytes]:
    endpoints = {
        name: getattr(request, f"{name}_endpoint").url for name in ENDPOINTS if name != "artifact"
    }
    arguments = [f"--{name}_endpoint={url}" for name, url in endpoints.items()]
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "runners.worker_boot", f"--id={request.worker_id}"),
            *(f"--started={started}", *arguments),
        ],
        # Only what this program's own submitter sends.
        env={
            **os.environ,
            **{name: value for name, value in request.params.items() if name.startswith(_OURS)},
        },
        stdin=subprocess.DEVNULL,
    )


def _why(boot: subprocess.Popen[bytes]) -> str:
    status = boot.poll()
    if status is None:
        return f"{socket.gethostname()}: a worker did not start"
    # As a TaskManager says it of a worker that it started itself.
    reason = PROBLEMS.get(status, "the pool's output tells why")
    return f"{socket.gethostname()}: Process died with exit code {status}: {reason}"


def _listens(url: str) -> bool:
    host, _, port = url.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=_CONNECT_SECONDS).close()
    except ConnectionRefusedError:
        return False
    except OSError:
        # Perhaps only for a moment.
        return True
    return True


def main(argv: list[str]) -> None:
    """Serve until SIGTERM or Ctrl-C, then end all workers."""
    parser = argparse.ArgumentParser(prog="python -m runners.worker_pool")
    parser.add_argument("--port", type=int, default=15000, help="the same for all pools of a run")
    port = parser.parse_args(argv).port
    # Importing Beam has set up handlers already.
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s", force=True)
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    # Two pools on one port would get every other worker each, and nobody would know.
    options = [("grpc.so_reuseport", 0)]
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(32), options=options)
    with contextlib.closing(Pool()) as pool:
        beam_fn_api_pb2_grpc.add_BeamFnExternalWorkerPoolServicer_to_server(pool, server)
        # On this host alone: whoever reaches it can run code as this user.
        server.add_insecure_port(f"127.0.0.1:{port}")
        server.start()
        _logger.info("listening on 127.0.0.1:%d", port)
        ended.wait()
        server.stop(1).wait()


if __name__ == "__main__":
    main(sys.argv[1:])
