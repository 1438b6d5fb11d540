"""What a runner must be able to do, and what it is told of the run that it carries out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

Build = Callable[[Any], None]
"""Attaches the graph to the root of a pipeline."""


def _nothing() -> float:
    return 0.0


def _ignore() -> None:
    return


@dataclass(frozen=True)
class Job:
    """One run, as a runner needs to know it."""

    run_id: str
    """Unique name of the run."""
    scratch_path: str | None = None
    """As the user gave it: the folder for files in work, on every worker."""
    visible: tuple[str, ...] = ()
    """What every worker must find where it is: the input, and the leases of what is written to."""
    stall_seconds: float = 1800.0
    """When nothing was counted for so long, the run hangs."""
    worker_python: str | None = None
    """The Python of the workers; None: the same path as here."""
    reports: str | None = None
    """Folder that all machines see, where workers say why they cannot start."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables that workers on other machines must have: names and paths, never a secret."""
    lost: Callable[[], None] = _ignore
    """Called when workers were lost on the way: what they were just writing still lies there."""
    progress: Callable[[], float] = _nothing
    """Returns a number that changes whenever a worker has counted something."""


class Runner(Protocol):
    """Carries out a graph, on this machine or on others. Modules of ``runners`` are runners."""

    IS_LOCAL: bool
    """Whether all steps run on this machine, and see its scratch folder."""

    def preflight(self, beam_flags: list[str]) -> None:
        """Check within seconds, before anything is written, that a run can begin.

        Raises:
            UsageError: The options contradict each other.
            PreflightError: Something is missing; says what to do.
        """

    def prepare(self, beam_flags: list[str]) -> None:
        """Set up this process for a run; called with the leases held.

        Raises:
            PreflightError: Workers cannot start.
        """

    def check_workers(self, beam_flags: list[str], job: Job) -> None:
        """Check within seconds that workers on other machines can do their work there.

        Called with the leases held, before anything else is written.

        Raises:
            PreflightError: They cannot; says where, and why.
        """

    def num_workers(self, beam_flags: list[str]) -> int | None:
        """Return the worker processes that share one machine; None: all is in this process."""

    def run(self, build: Build, beam_flags: list[str], job: Job | None = None) -> None:
        """Build a graph and run it to its end; nothing of it is left running.

        Args:
            build: Attaches the graph to the pipeline's root.
            beam_flags: Options of Beam.
            job: What the runner is told of the run; None for a graph outside of a run.

        Raises:
            CurateError: As a step raised it, or because a worker is gone.
            KeyboardInterrupt: The user ended the run.
            RuntimeError: A step raised anything else.
        """
