"""Beam's Prism runner, a job server in Go: where its binary is, as another honest runner in tests.

Nothing is fetched: Beam by itself would download the binary, or take one from a home directory.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from runners import portable
from runners.interface import Build, Job
from transforms.errors import PreflightError

IS_LOCAL = True
PRISM_VARIABLE = "BEAM_CURATE_PRISM"
"""Names the binary where ``--prism_location`` does not."""
START_SECONDS = 20.0
"""It starts in a third of a second on a quiet machine."""
_IDLE_SHUTDOWN = "60s"
"""After so long without a job it ends by itself, should this process be killed."""


def preflight(beam_flags: list[str]) -> None:
    """Check that there is a binary of Prism.

    Raises:
        PreflightError: There is none; says how to make one.
    """
    binary(beam_flags)


def prepare(beam_flags: list[str]) -> None:
    """Set up nothing: Prism is started with each graph."""


def check_workers(beam_flags: list[str], job: Job) -> None:
    """Do nothing: the steps run in this process."""


def num_workers(beam_flags: list[str]) -> int | None:
    """Return None: the steps run in this process."""
    return None


def run(build: Build, beam_flags: list[str], job: Job | None = None) -> None:
    """Build a graph and run it to its end; see ``runners.interface``. Prism ends with it.

    Raises:
        PreflightError: Prism is not there or does not start.
    """
    with _running(binary(beam_flags)) as endpoint:
        flags = [*portable.FLAGS, *beam_flags, f"--job_endpoint={endpoint}"]
        portable.run_portable(build, flags)


def binary(beam_flags: list[str]) -> str:
    """Return the path of Prism: ``--prism_location``, ``$BEAM_CURATE_PRISM``, else from PATH.

    Raises:
        PreflightError: It is nowhere, or what is named cannot be run.
    """
    prefix = "--prism_location="
    flags = [flag.removeprefix(prefix) for flag in beam_flags if flag.startswith(prefix)]
    named = flags[-1] if flags else os.environ.get(PRISM_VARIABLE) or "prism"
    found = shutil.which(named)
    if found is None:
        from apache_beam.version import __version__ as version  # noqa: PLC0415 - slow

        raise PreflightError(
            f"--runner=PrismRunner needs Prism, and there is no program {named}; build it with Go: "
            f"go install github.com/apache/beam/sdks/v2/go/cmd/prism@v{version}, then name it "
            f"with --prism_location or {PRISM_VARIABLE}; or use --runner=DirectRunner"
        )
    return found


@contextlib.contextmanager
def _running(program: str) -> Iterator[str]:
    """Yield the address of a Prism that ends with the context."""
    port = _free_port()
    with tempfile.TemporaryDirectory(prefix="beam-curate-prism-") as folder:
        log = Path(folder) / "log"
        with log.open("wb") as file:
            command = [program, f"-job_port={port}", "-serve_http=false", "-log_level=warn"]
            command.append(f"-idle_shutdown_timeout={_IDLE_SHUTDOWN}")
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, cwd=folder
            )
        try:
            _wait_for(port, process, log)
            yield f"localhost:{port}"
        finally:
            process.kill()
            process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return int(probe.getsockname()[1])


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("localhost", port), 1.0):
            return
        time.sleep(0.05)
    last = log.read_text(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
    raise PreflightError(
        f"Prism ({process.args[0]!r}) did not start within {START_SECONDS:.0f} s: {last[0]}"  # type: ignore[index]
    )
