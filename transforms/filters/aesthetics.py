"""Reject clips that look bad: the options; the stage itself is not built yet."""

from __future__ import annotations

from typing import ClassVar, Literal

from transforms.section import Section, ignored, option


class AestheticFilter(Section):
    """Options of the aesthetic score (contract §1.9)."""

    title: ClassVar[str] = "Aesthetic filter"
    built: ClassVar[bool] = False

    aesthetic_threshold: float | None = option(None)
    """Clips that score lower are rejected; null: no score at all; -1: score only."""
    aesthetic_reduction: Literal["mean", "min"] = option("min")
    """How the scores of a clip's frames become one."""
    aesthetic_gpus_per_worker: float = ignored(
        0.25, instead="one model per worker process; the runner's preset places GPUs"
    )
    """Upstream's GPU share of a Ray worker."""

    def not_built(self) -> str | None:
        """Return why aesthetic scores cannot be had yet."""
        if self.aesthetic_threshold is None:
            return None
        return (
            f"aesthetic_threshold={self.aesthetic_threshold}: the aesthetic filter is not built "
            "yet; leave the option out or set it to null."
        )
