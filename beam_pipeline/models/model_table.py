"""The preflight table: every model that a run needs, and all that stands in its way at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from beam_pipeline.configuration.config import (
    AnyConfig,
    CaptionedConfig,
    CurateConfig,
    RecaptionConfig,
    ShardConfig,
    SplitConfig,
)
from beam_pipeline.models import caption_rows, embedding_rows, enhancement_rows, shot_rows
from beam_pipeline.models.model_row import ModelRow
from runners.gpu_memory import GpuMemory, gpus_here
from runners.gpus import visible_gpus
from transforms.errors import PreflightError

CAPTION_FAMILIES: tuple[Callable[[CaptionedConfig], list[ModelRow]], ...] = (
    caption_rows.rows,
    enhancement_rows.rows,
)
"""What adds rows about captions."""
FAMILIES: tuple[Callable[[SplitConfig | CurateConfig], list[ModelRow]], ...] = (
    shot_rows.rows,
    embedding_rows.rows,
    *CAPTION_FAMILIES,
)
"""What adds rows, in the order of the stages."""
_GIGA = 1e9
_HEADINGS = ("use", "model", "weights", "device", "GPU memory")


@dataclass(frozen=True)
class ModelTable:
    """What a run needs of models."""

    rows: tuple[ModelRow, ...]
    gpus: tuple[GpuMemory, ...]
    """Those of this machine whose memory is known."""
    has_gpu: bool
    """Whether models find a GPU here."""
    is_local: bool = True
    """Whether the models run on this machine, so that its GPUs count."""

    @property
    def problems(self) -> list[str]:
        """Return all that keeps the run from working, each with what to do."""
        found = [problem for row in self.rows for problem in row.problems]
        if not self.is_local:
            return found
        found += [problem for row in self.rows for problem in row.device_problems]
        found += [
            f"{row.use} by {row.model} needs a GPU, and there is none here: run on a machine that "
            "has one (CUDA_VISIBLE_DEVICES may hide it), or choose an engine or an endpoint that "
            "needs none"
            for row in self.rows
            if row.device == "gpu" and not self.has_gpu and not row.device_problems
        ]
        return [*found, *self._memory_problem()]

    @property
    def on_gpu(self) -> list[ModelRow]:
        """Return the rows whose models share a worker's GPU: all of one run's do."""
        return [row for row in self.rows if self.device(row) == "gpu"]

    @property
    def needed_bytes(self) -> int:
        """Return the memory that those models take of the smallest GPU here, as far as known."""
        return sum(self._of(row) for row in self.on_gpu)

    def device(self, row: ModelRow) -> str:
        """Return where a model runs."""
        if row.device == "auto" and self.is_local:
            return "gpu" if self.has_gpu else "cpu"
        return "worker's" if row.device == "auto" else row.device

    def _memory_problem(self) -> Iterable[str]:
        if not self.gpus:
            return
        smallest = min(self.gpus, key=lambda gpu: gpu.free_bytes)
        if self.needed_bytes > smallest.free_bytes:
            parts = ", ".join(
                f"{row.model} {_gigabytes(self._of(row))} GB ({row.use})" for row in self.on_gpu
            )
            yield (
                f"the models of this run do not fit one GPU together: they need about "
                f"{_gigabytes(self.needed_bytes)} GB ({parts}), and GPU {smallest.name} has "
                f"{_gigabytes(smallest.free_bytes)} GB free of "
                f"{_gigabytes(smallest.total_bytes)}: turn one off and add it in a second run "
                "into the same output, choose smaller models (python -m beam_pipeline models "
                "list), serve one by an endpoint, or free the GPU"
            )

    def _of(self, row: ModelRow) -> int:
        """Return what a model takes of each GPU that it runs on."""
        total = min((gpu.total_bytes for gpu in self.gpus), default=0)
        needed = (row.gpu_memory_bytes or 0) // row.num_gpus
        return max(int(row.gpu_share * total), needed)

    def lines(self) -> list[str]:
        """Return the table, and a line about the GPU where models use one."""
        if not self.rows:
            return ["models: none are needed"]
        cells = [_HEADINGS, *(self._cells(row) for row in self.rows)]
        widths = [max(len(row[i]) for row in cells) for i in range(len(_HEADINGS))]
        lines = ["models"]
        for row in cells:
            padded = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            lines.append("  " + "  ".join(padded).rstrip())
        if self.on_gpu and self.gpus:
            free = min(gpu.free_bytes for gpu in self.gpus)
            lines.append(
                f"  together on one GPU: about {_gigabytes(self.needed_bytes)} GB of "
                f"{_gigabytes(free)} GB free"
            )
        return lines

    def _cells(self, row: ModelRow) -> tuple[str, ...]:
        memory = self._of(row) if row in self.on_gpu else 0
        return (
            row.use,
            row.model,
            row.where or "missing",
            self.device(row),
            f"about {_gigabytes(memory)} GB" if memory else "-",
        )


def model_table(config: AnyConfig, *, is_local: bool = True) -> ModelTable:
    """Return what a run with this configuration needs of models; ``auto`` must be settled.

    Args:
        config: The options.
        is_local: Whether the models run on this machine.

    Raises:
        UsageError: The options contradict each other.
    """
    rows: list[ModelRow] = []
    if isinstance(config, RecaptionConfig):
        rows = [row for family in CAPTION_FAMILIES for row in family(config)]
    elif not isinstance(config, ShardConfig):
        rows = [row for family in FAMILIES for row in family(config)]
    asks = is_local and any(row.device in ("gpu", "auto") for row in rows)
    gpus = tuple(gpus_here()) if asks else ()
    return ModelTable(
        tuple(rows), gpus, has_gpu=bool(gpus) or (asks and bool(visible_gpus())), is_local=is_local
    )


def raise_problems(table: ModelTable) -> None:
    """Raise PreflightError with all problems of a table, if it has any."""
    problems = table.problems
    if len(problems) == 1:
        raise PreflightError(problems[0])
    if problems:
        listed = "\n".join(f"  {number}. {text}" for number, text in enumerate(problems, 1))
        raise PreflightError(f"{len(problems)} things are missing for the models:\n{listed}")


def _gigabytes(num_bytes: int) -> str:
    return f"{num_bytes / _GIGA:.1f}"
