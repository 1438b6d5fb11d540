"""Where a worker has the files of the caption model that a run was begun with."""

from __future__ import annotations

from pathlib import Path

from transforms.errors import PreflightError
from transforms.models.captions.settings import LocalModelSettings
from transforms.models.catalogue_entry import Task
from transforms.models.weights import find_weights
from transforms.models.weights_digest import weights_digest


def worker_folder(settings: LocalModelSettings, *, task: Task = "caption") -> Path:
    """Return the model's folder on this worker.

    Raises:
        PreflightError: It is not there, or holds other files than where the run was begun.
    """
    folder = Path(settings.path)
    if not folder.is_dir():
        folder = find_weights(
            settings.model,
            model_weights_path=settings.model_weights_path,
            revision=settings.revision,
            task=task,
        )
    if weights_digest(folder) != settings.digest:
        raise PreflightError(
            f"{folder}: holds other files of the model {settings.model} than the machine "
            "that began the run; give every worker the same"
        )
    return folder
