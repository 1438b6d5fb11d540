"""Hosts on one machine: a network, a host name, processes and a local folder of its own for each.

They are namespaces of the kernel, each held by a process; they end with it.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ADDRESSES = {"ctl": "10.77.0.1", "node1": "10.77.0.11", "node2": "10.77.0.12"}
"""Host to address; the first one has the bridge that joins them."""
_PATIENCE_SECONDS = 30


class HostsError(Exception):
    """The kernel permits no such hosts here; the message says what it refused."""


@dataclass
class Hosts:
    """Hosts that run."""

    processes: dict[str, int] = field(default_factory=dict)
    """Name of a host to the process that holds its namespaces."""
    _keepers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @classmethod
    def start(cls, folder: Path, own_folders: Mapping[str, Path]) -> Hosts:
        """Start the hosts.

        Args:
            folder: Has ``conf``, ``run`` and ``fs/HOST``.
            own_folders: Host to the folder that is its own ``fs/HOST`` there.

        Raises:
            HostsError: That is not permitted.
        """
        names = folder / "conf" / "hosts"
        lines = [f"{ip} {name}\n" for name, ip in [("localhost", "127.0.0.1"), *ADDRESSES.items()]]
        names.write_text("".join(lines))
        hosts = cls()
        try:
            for name in ADDRESSES:
                mounts = {"/etc/hosts": names}
                if name in own_folders:
                    mounts[str(own_folders[name])] = folder / "fs" / name
                hosts._start(name, mounts, folder / "run" / f"{name}.ready")
            hosts._connect()
        except (OSError, subprocess.CalledProcessError) as error:
            hosts.stop()
            raise HostsError(str(error)) from error
        except HostsError:
            hosts.stop()
            raise
        return hosts

    def on(self, host: str, command: Sequence[str]) -> list[str]:
        """Return the command that runs ``command`` on a host, in this process's folder."""
        namespaces = ("--net", "--uts", "--mount", "--pid")
        here = os.getcwd()  # noqa: PTH109 - entering a mount namespace changes it
        return ["nsenter", "-t", str(self.processes[host]), *namespaces, f"--wd={here}", *command]

    def stop(self) -> None:
        """End the hosts and all that runs on them."""
        for keeper in self._keepers:
            keeper.kill()
            keeper.communicate()
        self._keepers.clear()
        self.processes.clear()

    def _start(self, name: str, mounts: Mapping[str, Path], ready: Path) -> None:
        commands = [
            f"hostname {name}",
            *(f"mount --bind {source} {target}" for target, source in mounts.items()),
            "ip link set lo up",
            f"touch {ready}",
            # The first process of a host must wait for orphans.
            "while :; do sleep 1; done",
        ]
        kinds = ["--net", "--uts", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child"]
        keeper = subprocess.Popen(
            ["unshare", *kinds, "bash", "-c", f"set -e; {'; '.join(commands)}"],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        self._keepers.append(keeper)
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not ready.exists():
            if keeper.poll() is not None or time.monotonic() > deadline:
                keeper.kill()
                # Only then: what it said is gone with the keeper.
                self._keepers.remove(keeper)
                raise HostsError(f"unshare: {keeper.communicate()[1].decode().strip()}")
            time.sleep(0.02)
        children = Path(f"/proc/{keeper.pid}/task/{keeper.pid}/children").read_text().split()
        self.processes[name] = int(children[0])

    def _connect(self) -> None:
        center, *others = ADDRESSES
        self._ip(center, "link", "add", "br0", "type", "bridge")
        self._ip(center, "address", "add", f"{ADDRESSES[center]}/24", "dev", "br0")
        self._ip(center, "link", "set", "br0", "up")
        for name in others:
            peer = ["peer", "name", "eth0", "netns", str(self.processes[name])]
            self._ip(center, "link", "add", f"v-{name}", "type", "veth", *peer)
            self._ip(center, "link", "set", f"v-{name}", "master", "br0", "up")
            self._ip(name, "address", "add", f"{ADDRESSES[name]}/24", "dev", "eth0")
            self._ip(name, "link", "set", "eth0", "up")

    def _ip(self, host: str, *words: str) -> None:
        command = ["nsenter", "-t", str(self.processes[host]), "--net", "ip", *words]
        subprocess.run(command, check=True, capture_output=True)
