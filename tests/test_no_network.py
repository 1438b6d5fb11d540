"""The quickstart needs no network and does not even try to reach one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from wrong_use import environment

ROOT = Path(__file__).resolve().parent.parent
QUICKSTART = [sys.executable, "-m", "beam_pipeline", "--runner=DirectRunner"]
ATTEMPT = [sys.executable, "-c", "import socket; socket.create_connection(('192.0.2.1', 80))"]
NAMES = [sys.executable, "-c", "import socket; socket.getaddrinfo('example.org', 80)"]
ALONE = [
    sys.executable,
    "-c",
    "import socket\n"
    "one, other = socket.socketpair()\n"
    "one.sendall(b'x')\n"
    "server = socket.create_server(('127.0.0.1', 0))\n"
    "try: socket.create_connection(server.getsockname())\n"
    "except OSError: pass\n",  # an empty namespace has no loopback either
]
# Imported by every Python process that finds it, also by workers and children.
HOOK = """
import os, sys

def _tell(event, arguments):
    if event == "socket.getaddrinfo":
        what = arguments[0]
    elif event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        what = arguments[1]
        if isinstance(what, tuple):
            what = what[0]
        elif what is None or isinstance(what, (str, bytes)):
            return  # a connection that was made before, or a file
    elif event in ("socket.gethostbyname", "socket.gethostbyaddr"):
        what = arguments[0]
    else:
        return
    if what in (None, "localhost", "::1") or str(what).startswith("127."):
        return
    log = os.open({log!r}, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(log, f"{{event}} {{what}} {{sys.argv}}\\n".encode())
    os.close(log)

sys.addaudithook(_tell)
with open({started!r}, "a") as started:
    started.write(f"{{sys.orig_argv}}\\n")
"""


def isolated() -> list[str]:
    """Return the command that runs another in an empty network namespace.

    Skips the test where the system permits none, unless ``CI`` says that it must run.
    """
    command = ["unshare", "-n"] if os.geteuid() == 0 else ["unshare", "-rn"]
    try:
        tried = subprocess.run([*command, "true"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        problem = "there is no program unshare"
    else:
        if tried.returncode == 0:
            return command
        problem = tried.stderr.strip()
        if "Operation not permitted" in problem or "Permission denied" in problem:
            pytest.skip(f"this kernel gives no network namespace to this user: {problem}")
    if os.environ.get("CI") == "true":
        pytest.fail(f"no empty network namespace: {problem}")
    pytest.skip(f"no empty network namespace: {problem}")


class Offline:
    """Runs programs without a network and notes what they wanted of it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._log, self._started = folder / "attempts", folder / "started"
        (folder / "hook").mkdir()
        code = HOOK.format(log=str(self._log), started=str(self._started))
        (folder / "hook" / "sitecustomize.py").write_text(code)

    def run(self, command: Sequence[str]) -> tuple[int, str]:
        """Run it in an empty namespace; return exit status and all it said."""
        # Counted by the kernel: what it refused to route, whoever asked, in Python or in C.
        counting = '"$@"; status=$?; cp /proc/net/snmp "$COUNTS"; exit $status'
        done = subprocess.run(
            [*isolated(), "sh", "-c", counting, "sh", *command],
            env=environment(
                {
                    "PYTHONPATH": str(self._folder / "hook"),
                    "COUNTS": str(self._folder / "counts"),
                    "XDG_RUNTIME_DIR": str(self._folder),
                    "HOME": str(self._folder),
                }
            ),
            cwd=self._folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        return done.returncode, done.stdout + done.stderr

    @property
    def attempts(self) -> list[str]:
        """What Python code tried to reach or to look up."""
        return self._log.read_text().splitlines() if self._log.exists() else []

    @property
    def processes(self) -> list[str]:
        """The command line of each Python process that was watched."""
        return self._started.read_text().splitlines()

    @property
    def num_refused(self) -> int:
        """How many connections and packets had no way out."""
        lines = (self._folder / "counts").read_text().splitlines()
        names, values = (line.split() for line in lines if line.startswith("Ip:"))
        return int(dict(zip(names, values, strict=True))["OutNoRoutes"])


@pytest.fixture
def offline(tmp_path: Path) -> Offline:
    return Offline(tmp_path)


class TestWatching:
    """The oracle itself: what it must notice, and what it must not."""

    def test_a_connection_is_noticed_and_fails(self, offline: Offline) -> None:
        status, told = offline.run(ATTEMPT)
        assert status != 0, told
        assert [attempt.split()[:2] for attempt in offline.attempts][-1] == [
            "socket.connect",
            "192.0.2.1",
        ]
        assert offline.num_refused >= 1

    def test_a_name_that_is_looked_up_is_noticed(self, offline: Offline) -> None:
        status, told = offline.run(NAMES)
        assert status != 0, told
        assert offline.attempts[0].startswith("socket.getaddrinfo example.org")

    def test_what_stays_in_the_machine_is_no_attempt(self, offline: Offline) -> None:
        status, told = offline.run(ALONE)
        assert status == 0, told
        assert offline.attempts == []
        assert len(offline.processes) == 1


def test_the_quickstart_neither_needs_nor_tries_a_network(offline: Offline, tmp_path: Path) -> None:
    status, told = offline.run(QUICKSTART)
    assert status == 0, told
    output = tmp_path / "beam-curate-quickstart"
    assert list(output.rglob("clips/*.mp4"))
    assert list(output.rglob("wdinfo*.json"))
    assert offline.attempts == []
    assert offline.num_refused == 0
    watched = offline.processes
    assert sum("transforms.media.child" in command for command in watched) >= 2
    assert any("beam_pipeline" in command for command in watched)
