"""Upstream's options for Ray, which have no meaning here."""

from __future__ import annotations

from typing import ClassVar, Literal

from transforms.section import Section, ignored

_WORKERS = "the number of workers is the runner's: --direct_num_workers, --parallelism"


class Execution(Section):
    """Options that upstream's scheduler reads (contract §1.1 Common, §6.1)."""

    title: ClassVar[str] = "Execution"

    execution_mode: Literal["AUTO", "BATCH", "STREAMING"] = ignored(
        "AUTO", instead="--runner; every stage streams its results to the next"
    )
    """Upstream's choice between stage after stage and all stages at once."""
    num_download_workers_per_node: int = ignored(4, instead=_WORKERS)
    """Upstream's downloads at once."""
    num_clip_writer_workers_per_node: int = ignored(8, instead=_WORKERS)
    """Upstream's uploads at once."""
