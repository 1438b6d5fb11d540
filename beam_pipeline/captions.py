"""From options to what captioning needs; and what must be there for it before a run starts."""

from __future__ import annotations

import functools
import importlib.util
import logging
import re
from pathlib import Path
from typing import Any

from beam_pipeline.config import CurateConfig, PipelineConfig, RecaptionConfig, SplitConfig
from transforms.annotate.caption_prompts import PROMPTS, check_prompt
from transforms.annotate.caption_settings import CaptionSettings, EngineSpec
from transforms.errors import PreflightError, UsageError
from transforms.models.captions.settings import OpenAISettings
from transforms.storage.endpoints import shown_endpoint

SplitLike = SplitConfig | CurateConfig | RecaptionConfig
BUILT = ("openai",)
"""Algorithms whose engine is built."""
_ANSWER_SECONDS = 10.0

_logger = logging.getLogger(__name__)


def captions_here(config: PipelineConfig) -> tuple[bool, str]:
    """Return whether ``generate_captions=auto`` makes captions on this machine, and why."""
    if not isinstance(config, SplitConfig | CurateConfig):
        return False, f"{config.pipeline} makes none"
    try:
        settings = _settings(config)
    except PreflightError as error:
        _logger.debug("%s", error)
        return False, re.split(r"; |: ", str(error))[0]
    return True, f"{settings.engine.settings.model} answers"


def caption_settings(config: SplitLike) -> CaptionSettings | None:
    """Return what captioning needs, None when no captions are made.

    Raises:
        UsageError: The prompt cannot be used.
        PreflightError: Captions are asked for, and the engine is not there or does not answer.
    """
    wanted = config.captioning.generate_captions
    if not wanted:
        return None
    try:
        return _settings(config)
    except PreflightError:
        # What auto came to, and why, is told by captions_here.
        if wanted == "auto":
            return None
        raise


def caption_definition(config: SplitLike, settings: CaptionSettings) -> dict[str, Any]:
    """Return what the fingerprint of captions covers: what decides their text."""
    return {
        "algorithm": config.caption_model.captioning_algorithm,
        "model": settings.engine.settings.model,
        "max_tokens": settings.engine.settings.max_tokens,
        "prompt": settings.prompt,
    }


def _settings(config: SplitLike) -> CaptionSettings:
    algorithm = config.caption_model.captioning_algorithm
    if algorithm not in BUILT:
        raise PreflightError(
            f"captioning_algorithm={algorithm} is not built yet; serve the model "
            "(vllm serve ...) and use captioning_algorithm=openai, or leave captions out with "
            "generate_captions=false"
        )
    prompt = _prompt_text(config)
    options = config.captioning
    limit = options.captioning_max_output_tokens
    engine = OpenAISettings(
        model=served_model(options.openai_model_name),
        max_tokens=limit if limit > 0 else None,
        slots=options.api_caption_batch_size,
        retries=options.openai_caption_retries,
        retry_delay_seconds=options.openai_retry_delay_seconds,
    )
    return CaptionSettings(EngineSpec("openai", engine), prompt, slots=engine.slots)


def _prompt_text(config: SplitLike) -> str:
    options = config.captioning
    if options.captioning_prompt_text is not None and options.captioning_prompt_file is not None:
        raise UsageError(
            "captioning_prompt_text and captioning_prompt_file exclude each other; keep one"
        )
    if options.captioning_prompt_file is not None:
        path = Path(options.captioning_prompt_file).expanduser()
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"captioning_prompt_file={path}: cannot be read: {error}") from error
        check_prompt(text, option=f"captioning_prompt_file={path}")
        return text
    if options.captioning_prompt_text is not None:
        check_prompt(options.captioning_prompt_text, option="captioning_prompt_text")
        return options.captioning_prompt_text
    return PROMPTS[options.captioning_prompt_variant]


@functools.cache
def served_model(name: str) -> str:
    """Return the model to ask for; ``auto`` is the only one that the endpoint serves.

    Raises:
        PreflightError: The package is missing, the endpoint does not answer or refuses the key, or
            it does not serve the model.
    """
    if importlib.util.find_spec("openai") is None:
        raise PreflightError(
            "captioning_algorithm=openai needs the package openai: pip install 'beam-curate[api]'"
        )
    import openai  # noqa: PLC0415 - an extra

    from transforms.models.api_access import openai_access  # noqa: PLC0415

    access = openai_access("caption")
    where = shown_endpoint(access.base_url or "the default endpoint")
    client = openai.OpenAI(
        api_key=access.api_key, base_url=access.base_url, timeout=_ANSWER_SECONDS, max_retries=1
    )
    try:
        with client:
            served = sorted(model.id for model in client.models.list())
    except openai.AuthenticationError as error:
        raise PreflightError(
            f"{where}: refuses the API key (HTTP {error.status_code}); set OPENAI_API_KEY"
        ) from None
    except openai.OpenAIError as error:
        what = access.without_key(str(error))
        raise PreflightError(
            f"{where}: does not answer as an OpenAI-compatible endpoint ({what}); start the "
            "server, or correct OPENAI_BASE_URL (it usually ends in /v1)"
        ) from None
    return _chosen(name, served, where)


def _chosen(name: str, served: list[str], where: str) -> str:
    shown = ", ".join(served[:10]) or "none"
    if name == "auto":
        if len(served) != 1:
            raise PreflightError(
                f"{where}: serves {len(served)} models ({shown}); name one with --openai_model_name"
            )
        return served[0]
    if name not in served:
        raise PreflightError(
            f"{where}: does not serve {name}; it serves {shown}: name one with --openai_model_name"
        )
    return name
