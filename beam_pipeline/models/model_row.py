"""One line of the preflight table: a model that a run needs, and what stands in its way."""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from transforms.errors import PreflightError
from transforms.models.catalogue import find_entry
from transforms.models.catalogue_entry import Task
from transforms.models.weights import locate_weights

Device = Literal["cpu", "gpu", "auto", "endpoint"]


@dataclass(frozen=True)
class ModelRow:
    """A model that a run needs.

    A family of models (shots, captions, embeddings, ...) adds its rows by one function,
    ``rows(config) -> list[ModelRow]``, in a module of its own that ``model_table.FAMILIES`` names.
    It gives one row for each model that the options turn on, and none for what is off; it raises
    nothing but UsageError: what else stands in the way is in ``problems``, **all** of it, each
    with what to do. ``local_row`` makes the row of a model whose weights lie on this machine, and
    ``checked`` puts the PreflightError of a check of your own into a row.
    """

    use: str
    """``shots``, ``captions``, ``captions, second pass``, ``enhancement``, ``embeddings``."""
    model: str
    """Name of the catalogue, hub id, folder, or name at the endpoint."""
    where: str = ""
    """Where its weights are, or which endpoint answers; empty: not found."""
    device: Device = "auto"
    """``gpu``: it cannot do without; ``auto``: a GPU where there is one."""
    gpu_memory_bytes: int | None = None
    """What it needs of GPU memory when it runs there; None: not known."""
    num_gpus: int = 1
    """GPUs that it is spread over."""
    gpu_share: float = 0.0
    """Part of a whole GPU that it takes whatever it needs, in [0, 1] (vLLM's
    gpu_memory_utilization)."""
    problems: tuple[str, ...] = ()
    device_problems: tuple[str, ...] = ()
    """Those of this machine's devices: they count where the model runs here."""


def local_row(
    use: str,
    name: str,
    *,
    task: Task,
    model_weights_path: str | None,
    revision: str | None = None,
    packages: Mapping[str, str] | None = None,
) -> ModelRow:
    """Return the row of a model whose files are on this machine; missing ones are its problems.

    Args:
        use: What for.
        name: Name of the catalogue, hub id or folder.
        task: As the catalogue calls it.
        model_weights_path: Where else the files may lie.
        revision: Of the hub's repository; None: the catalogue's.
        packages: Module that it needs to the extra of this package that brings it.
    """
    problems = []
    missing = missing_packages(packages or {})
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        extras = ",".join(sorted({(packages or {})[module] for module in missing}))
        problems.append(
            f"{use} by {name} needs {', '.join(missing)}, which {verb} not installed here: "
            f"pip install 'beam-curate[{extras}]'"
        )
    where = ""
    try:
        found = locate_weights(
            name, model_weights_path=model_weights_path, revision=revision, task=task
        )
    except PreflightError as error:
        problems.append(str(error))
    else:
        commit = f" {found.revision[:12]}" if found.revision else ""
        where = f"{found.where}{commit}"
    known = find_entry(name, task)
    return ModelRow(
        use,
        name,
        where=where,
        gpu_memory_bytes=known.gpu_memory_bytes if known else None,
        problems=tuple(problems),
    )


def checked(row: ModelRow, check: Callable[[], object]) -> ModelRow:
    """Return the row with the PreflightError of ``check`` among its problems, if it raises one."""
    try:
        check()
    except PreflightError as error:
        return dataclasses.replace(row, problems=(*row.problems, str(error)))
    return row


def missing_packages(names: Iterable[str]) -> list[str]:
    """Return the modules that are not installed."""
    return [name for name in names if importlib.util.find_spec(name) is None]
