"""What the processes that do the work may use; and upstream's options for Ray."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import model_validator

from transforms.media.child_limits import SILENCE_SECONDS, START_MEMORY_MB
from transforms.section import Section, ignored, option

_WORKERS = "the number of workers is the runner's: --direct_num_workers, --parallelism"


class Execution(Section):
    """Limits of child processes; options that upstream's scheduler reads (contract §1.1, §6.1)."""

    title: ClassVar[str] = "Execution"

    child_memory_limit_mb: int | None = option(None, unit="MiB", ge=0)
    """Most memory of each process that probes or cuts videos, 0 = no limit; default: the machine's
    memory divided by the number of its cores, at least 2048."""
    child_silence_limit_s: float = option(SILENCE_SECONDS, unit="seconds", gt=0)
    """A process that probes or cuts and shows no progress for so long is ended."""
    stall_minutes: float = option(30.0, unit="minutes", gt=0)
    """On a cluster: when nothing was counted for so long, the run hangs; it is cancelled."""
    worker_python: str | None = None
    """On a cluster: the Python of the workers, with this program installed; default: the same path
    as here."""
    execution_mode: Literal["AUTO", "BATCH", "STREAMING"] = ignored(
        "AUTO", instead="--runner; every stage streams its results to the next"
    )
    """Upstream's choice between stage after stage and all stages at once."""
    num_download_workers_per_node: int = ignored(4, instead=_WORKERS)
    """Upstream's downloads at once."""
    num_clip_writer_workers_per_node: int = ignored(8, instead=_WORKERS)
    """Upstream's uploads at once."""

    @model_validator(mode="after")
    def _children_can_start(self) -> Execution:
        limit = self.child_memory_limit_mb
        if limit and limit < START_MEMORY_MB:
            raise ValueError(
                f"child_memory_limit_mb: must be 0 (no limit) or at least {START_MEMORY_MB}, "
                f"got {limit}"
            )
        return self
