"""The row of the model that embeds."""

from __future__ import annotations

from dataclasses import replace

from beam_pipeline.configuration.config import CurateConfig, SplitConfig
from beam_pipeline.models.embeddings import embedding_settings
from beam_pipeline.models.model_row import Device, ModelRow, checked, local_row, missing_packages
from transforms.errors import PreflightError
from transforms.models.embeddings.algorithms import ALGORITHMS
from transforms.models.embeddings.model_folder import untrusted
from transforms.storage.endpoints import shown_endpoint

SplitLike = SplitConfig | CurateConfig
_PACKAGES = {"torch": "models", "torchvision": "models", "transformers": "models"}
_DEVICES: dict[str, Device] = {"cpu": "cpu", "cuda": "gpu"}


def rows(config: SplitLike) -> list[ModelRow]:
    """Return the row of the embedding model, where there are embeddings."""
    options = config.embedding
    if not options.generate_embeddings:
        return []
    algorithm = ALGORITHMS.get(options.embedding_algorithm)
    if algorithm is None or algorithm.kind == "served":
        return _without_weights(config)
    row = local_row(
        "embeddings",
        options.embedding_model or options.embedding_algorithm,
        task="embedding",
        model_weights_path=config.model_files.folder,
        revision=options.embedding_model_revision,
        packages=_PACKAGES,
    )
    row = replace(row, device=_DEVICES.get(options.embedding_device, "auto"))
    if algorithm.runs_remote_code and not config.model_files.trust_remote_code:
        problem = str(untrusted(options.embedding_model or algorithm.hub_id))
        return [replace(row, problems=(*row.problems, problem))]
    if not row.problems:
        # Whether the files fit the algorithm is found out by reading them.
        row = checked(row, lambda: embedding_settings(config))
    return [_on_device(row, options.embedding_device)]


def _without_weights(config: SplitLike) -> list[ModelRow]:
    name = config.embedding.embedding_algorithm
    try:
        settings = embedding_settings(config)
    except PreflightError as error:
        return [ModelRow("embeddings", name, device="endpoint", problems=(str(error),))]
    if settings is None:
        return []
    from transforms.models.api_access import openai_access  # noqa: PLC0415

    where = shown_endpoint(openai_access("embedding").base_url or "the default endpoint")
    return [ModelRow("embeddings", settings.embedder.model_name, where=where, device="endpoint")]


def _on_device(row: ModelRow, device: str) -> ModelRow:
    if device != "cuda" or missing_packages(["torch"]):
        return row
    from transforms.models.embeddings.torch_device import chosen_device  # noqa: PLC0415

    try:
        chosen_device(device)
    except PreflightError as error:
        return replace(row, device_problems=(str(error),))
    return row
