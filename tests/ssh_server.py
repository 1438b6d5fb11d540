"""A real sshd on loopback with keys of its own, on the login node of the SLURM lab."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from slurm_lab import SlurmLab

PORT = 2222
"""In the login node's own network; without namespaces it must be free on this machine."""
_PATIENCE_SECONDS = 30

_SERVER = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host_key
PidFile {folder}/sshd.pid
AuthorizedKeysFile {folder}/authorized_keys
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
SetEnv SLURM_CONF={slurm_conf}
"""
_CLIENT = """\
Host login
  HostName 127.0.0.1
  Port {port}
  User {user}
  IdentityFile {folder}/user_key
  IdentitiesOnly yes
  UserKnownHostsFile {folder}/known_hosts
  StrictHostKeyChecking yes
Host stranger
  HostName 127.0.0.1
  Port {port}
  User {user}
  IdentityFile {folder}/other_key
  IdentitiesOnly yes
  UserKnownHostsFile {folder}/known_hosts
  StrictHostKeyChecking yes
"""


@contextlib.contextmanager
def ssh_server(lab: SlurmLab, folder: Path) -> Iterator[Path]:
    """Run sshd and yield a configuration of ssh that knows the hosts ``login`` and ``stranger``.

    They are the same server; ``stranger`` offers a key that the server does not know.
    """
    folder.chmod(0o700)
    for key in ("host_key", "user_key", "other_key"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / key], check=True
        )
    (folder / "authorized_keys").write_bytes((folder / "user_key.pub").read_bytes())
    host_key = (folder / "host_key.pub").read_text()
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{PORT} {host_key}")
    conf = lab.environment["SLURM_CONF"]
    (folder / "sshd_config").write_text(_SERVER.format(port=PORT, folder=folder, slurm_conf=conf))
    (folder / "ssh_config").write_text(
        _CLIENT.format(port=PORT, folder=folder, user=getpass.getuser())
    )
    # Where it gives up its rights; packages make it when they start the daemon.
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    # It starts itself anew for each connection, and wants its whole path for that.
    program = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
    assert program is not None
    with (folder / "sshd.log").open("wb") as log:
        server = subprocess.Popen(
            lab.on("ctl", [program, "-D", "-e", "-f", str(folder / "sshd_config")]), stderr=log
        )
        try:
            _wait_until_it_answers(lab, folder)
            yield folder / "ssh_config"
        finally:
            server.terminate()
            server.wait()


def _wait_until_it_answers(lab: SlurmLab, folder: Path) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while lab.run("bash", "-c", f": < /dev/tcp/127.0.0.1/{PORT}").returncode != 0:
        assert time.monotonic() < deadline, (folder / "sshd.log").read_text()
        time.sleep(0.1)
