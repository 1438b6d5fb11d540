"""From options to what embedding needs; and what must be there for it before a run starts."""

from __future__ import annotations

import dataclasses
import importlib.util
import logging
from pathlib import Path
from typing import Any

from beam_pipeline.configuration.config import AnyConfig, CurateConfig, PipelineConfig, SplitConfig
from beam_pipeline.models.caption_engines.served import served_model
from beam_pipeline.models.short_reason import short_reason
from transforms.annotate.embedding_settings import EmbedderSpec, EmbeddingSettings
from transforms.errors import PreflightError, UsageError
from transforms.json_files import read_json_if_there
from transforms.layout import options_uri
from transforms.media.look_settings import FrameSettings
from transforms.models.embeddings.algorithms import ALGORITHMS
from transforms.models.embeddings.model_folder import ModelFolder, untrusted
from transforms.models.embeddings.served_settings import ServedSettings
from transforms.models.weights import locate_weights
from transforms.storage.uris import absolute

SplitLike = SplitConfig | CurateConfig
AUTO = ("siglip2", "clip")
"""Algorithms that ``auto`` tries, in this order."""
AUTO_TRUSTED = ("internvideo2", "cosmos-embed1-224p")
"""Further ones where code of models may run."""
_PACKAGES = ("torch", "torchvision", "transformers")
_NAME = "embedding_algorithm"

_logger = logging.getLogger(__name__)


def settle_embedding(config: AnyConfig) -> tuple[AnyConfig, str | None]:
    """Return the configuration with the algorithm that ``auto`` means, and a line about it.

    That is what the output's embeddings were begun with; else the first whose weights are here. It
    stays ``auto`` where there are none.
    """
    if not isinstance(config, SplitConfig | CurateConfig):
        return config, None
    if not config.embedding.generate_embeddings:
        return config, None
    if config.embedding.embedding_algorithm != "auto":
        return config, None
    found = _begun_with(config) or _first_here(config)
    if found is None:
        return config, None
    settled, why = found
    section = config.embedding.model_copy(update={_NAME: settled})
    return config.model_copy(update={"embedding": section}), f"{_NAME}: {settled} ({why})"


def embeddings_here(config: PipelineConfig) -> tuple[bool, str]:
    """Return whether ``generate_embeddings=auto`` makes embeddings on this machine, and why."""
    if not isinstance(config, SplitConfig | CurateConfig):
        return False, f"{config.pipeline} makes none"
    try:
        embedder = _settings(config).embedder
    except PreflightError as error:
        _logger.debug("%s", error)
        return False, short_reason(error)
    return True, f"{embedder.algorithm} is here"


def embedding_settings(config: SplitLike) -> EmbeddingSettings | None:
    """Return what embedding needs, None when no embeddings are made.

    Raises:
        PreflightError: Embeddings are asked for, and the model or its endpoint is not there.
    """
    wanted = config.embedding.generate_embeddings
    if not wanted:
        return None
    try:
        return _settings(config)
    except PreflightError:
        # What auto came to, and why, is told by embeddings_here.
        if wanted == "auto":
            return None
        raise


def embedding_definition(settings: EmbeddingSettings) -> dict[str, Any]:
    """Return what the fingerprint of embeddings covers: what decides the vectors."""
    embedder = settings.embedder
    return {
        "algorithm": embedder.algorithm,
        "weights": embedder.digest or embedder.model_version,
        "frames": dataclasses.asdict(settings.frames),
    }


def _settings(config: SplitLike) -> EmbeddingSettings:
    algorithm = config.embedding.embedding_algorithm
    if algorithm == "auto":
        if (name := next((one for one in AUTO if _has_weights(config, one)), None)) is not None:
            # They are here, so something else is missing: that is said.
            return _local(config, name)
        raise PreflightError(
            f"weights of {' and '.join(AUTO)} are not on this machine: python -m beam_pipeline "
            "models pull siglip2; or name a folder with --embedding_model, or a server with "
            "--embedding_algorithm openai, or leave embeddings out with --no-generate_embeddings"
        )
    if ALGORITHMS[algorithm].kind == "served":
        return _served(config)
    return _local(config, algorithm)


def _served(config: SplitLike) -> EmbeddingSettings:
    options = config.embedding
    if options.embedding_model is not None:
        raise UsageError(
            f"embedding_model={options.embedding_model} is for models in the worker, and "
            "embedding_algorithm=openai asks a server: name its model with "
            "--openai_embedding_model_name, or another embedding_algorithm"
        )
    slots = options.openai_embedding_max_concurrent_requests
    model = served_model(
        options.openai_embedding_model_name,
        "embedding",
        "openai_embedding_model_name",
        "embedding_algorithm=openai",
    )
    served = ServedSettings(
        model,
        slots=slots,
        retries=options.openai_embedding_retries,
        retry_delay_seconds=options.openai_embedding_retry_delay_seconds,
    )
    embedder = EmbedderSpec("openai", model, model, served=served)
    # Twice the slots: one slow answer then leaves only a part of them idle.
    batch_size = max(options.embedding_batch_size, 2 * slots)
    square = max(0, config.frames.clip_extraction_target_res)
    return EmbeddingSettings(embedder, batch_size, FrameSettings(square=square))


def _has_weights(config: SplitLike, name: str) -> bool:
    options = config.embedding
    try:
        locate_weights(
            options.embedding_model or name,
            model_weights_path=config.model_files.folder,
            revision=options.embedding_model_revision,
            task="embedding",
        )
    except (PreflightError, UsageError):
        return False
    return True


def _local(config: SplitLike, name: str) -> EmbeddingSettings:
    options, algorithm = config.embedding, ALGORITHMS[name]
    trusts = config.model_files.trust_remote_code
    named = options.embedding_model or name
    found = locate_weights(
        named,
        model_weights_path=config.model_files.folder,
        revision=options.embedding_model_revision,
        task="embedding",
    )
    if algorithm.runs_remote_code and not trusts:
        raise untrusted(options.embedding_model or algorithm.hub_id)
    model = ModelFolder(found.path)
    model.check(name, trust_remote_code=trusts)
    missing = [one for one in _PACKAGES if importlib.util.find_spec(one) is None]
    if missing:
        raise PreflightError(
            f"embedding_algorithm={name} needs {' and '.join(missing)}: pip install "
            "'beam-curate[models]'; or leave embeddings out with --no-generate_embeddings"
        )
    is_folder = options.embedding_model is not None and Path(named).expanduser().is_dir()
    embedder = EmbedderSpec(
        name,
        model_name=found.path.name if is_folder else options.embedding_model or algorithm.hub_id,
        model_version=found.revision or model.digest(),
        digest=model.digest(),
        folder=str(found.path.absolute()),
        device=options.embedding_device,
        trust_remote_code=trusts,
    )
    frames = model.frames(algorithm, target=config.frames.clip_extraction_target_res)
    return EmbeddingSettings(embedder, options.embedding_batch_size, frames)


def _begun_with(config: SplitLike) -> tuple[str, str] | None:
    if not config.output.output_clip_path or config.run.overwrite:
        return None
    root = absolute(str(config.output.output_clip_path))
    stored = read_json_if_there(options_uri(root)) or {"options": {}, "fingerprints": {}}
    name = stored["options"].get(_NAME)
    if "embeddings" not in stored["fingerprints"] or name not in ALGORITHMS:
        return None
    return str(name), "as this output's embeddings were begun"


def _first_here(config: SplitLike) -> tuple[str, str] | None:
    trusted = AUTO_TRUSTED if config.model_files.trust_remote_code else ()
    for name in (*AUTO, *trusted):
        try:
            _local(config, name)
        except (PreflightError, UsageError) as error:
            _logger.debug("%s: %s", name, error)
        else:
            return name, "the first of those that are here"
    return None
