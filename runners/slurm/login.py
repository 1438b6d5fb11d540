"""Where SLURM's commands run: on this machine, or on a login node by ssh."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from transforms.errors import PreflightError

SECONDS = 120.0
"""A command of SLURM that has not answered by then never will."""
_SSH_FAILED = 255
_NOT_FOUND = 127


@dataclass(frozen=True)
class Answer:
    """What a command said."""

    status: int
    out: str
    err: str

    @property
    def message(self) -> str:
        """What it complained of, in one line."""
        lines = [line.strip() for line in (self.err or self.out).splitlines() if line.strip()]
        return "; ".join(line.removeprefix("sbatch: error: ") for line in lines) or "no message"


@dataclass(frozen=True)
class Login:
    """A machine with SLURM's commands.

    Args:
        host: The login node, as ssh names it; None: this machine.
        user: User there; None: as ssh decides.
        ssh_config: Configuration file of ssh; None: the user's.
    """

    host: str | None = None
    user: str | None = None
    ssh_config: str | None = None

    @property
    def name(self) -> str:
        """Of the machine, in messages."""
        return self.host or "this machine"

    @property
    def options(self) -> str:
        """The options that lead another command here, with a space before; may be empty."""
        given = {
            "login_node": self.host,
            "username": self.user,
            "ssh_config": self.ssh_config,
        }
        return "".join(f" --{name} {shlex.quote(value)}" for name, value in given.items() if value)

    def run(self, command: Sequence[str], *, stdin: str = "") -> Answer:
        """Run a command to its end and return what it said.

        Raises:
            PreflightError: The machine cannot be reached, or has no such program.
        """
        words = self._words(command)
        try:
            result = subprocess.run(
                words, input=stdin, capture_output=True, text=True, timeout=SECONDS, check=False
            )
        except FileNotFoundError as error:
            raise PreflightError(self._no_program(words[0])) from error
        except subprocess.TimeoutExpired as error:
            raise PreflightError(
                f"{command[0]} on {self.name} did not answer within {SECONDS:.0f} s; does SLURM "
                "answer there? Try: sinfo"
            ) from error
        answer = Answer(result.returncode, result.stdout, result.stderr)
        self._check(answer, command)
        return answer

    def stream(self, command: Sequence[str]) -> int:
        """Run a command whose output is this program's, and return its status."""
        sys.stdout.flush()
        words = self._words(command)
        try:
            return subprocess.run(words, stdin=subprocess.DEVNULL, check=False).returncode
        except FileNotFoundError as error:
            raise PreflightError(self._no_program(words[0])) from error

    def require(self, program: str) -> None:
        """Raise unless the machine has the program.

        Raises:
            PreflightError: It has not, or it cannot be reached.
        """
        if self.host is None:
            is_there = shutil.which(program) is not None
        else:
            is_there = self.run(["sh", "-c", 'command -v "$0"', program]).status == 0
        if not is_there:
            raise PreflightError(self._no_program(program))

    def _words(self, command: Sequence[str]) -> list[str]:
        if self.host is None:
            return list(command)
        # The shell of the login node reads one line: every word is quoted in it.
        return [
            "ssh",
            *(("-F", self.ssh_config) if self.ssh_config else ()),
            *("-o", "BatchMode=yes", "-o", "ConnectTimeout=15", "-T"),
            *(("-l", self.user) if self.user else ()),
            "--",
            self.host,
            shlex.join(command),
        ]

    def _check(self, answer: Answer, command: Sequence[str]) -> None:
        if self.host is None:
            return
        if answer.status == _SSH_FAILED:
            raise PreflightError(
                f"{self.host} cannot be reached by ssh: {answer.message}; it must work without a "
                f"password: try ssh -o BatchMode=yes {self.host} true"
            )
        if answer.status == _NOT_FOUND:
            raise PreflightError(self._no_program(command[0]))

    def _no_program(self, program: str) -> str:
        if program == "ssh":
            return f"ssh is not installed here; --login_node {self.host} needs it"
        if self.host is None:
            return (
                f"{program} is not installed on this machine, so it is no login node of a SLURM "
                "cluster; run this there, or give --login_node HOST to go there by ssh"
            )
        return (
            f"{program} is not on the PATH of commands that ssh runs on {self.host}; is it a login "
            "node of a SLURM cluster?"
        )
