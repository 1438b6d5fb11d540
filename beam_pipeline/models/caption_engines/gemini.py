"""Captions by the Gemini API: is the key good, and is the model known?"""

from __future__ import annotations

import functools
import re

from beam_pipeline.configuration.config import CaptionedConfig
from transforms.annotate.caption_settings import EngineSpec
from transforms.errors import PreflightError, UsageError
from transforms.models.api_access import gemini_access
from transforms.models.captions.gemini_client import (
    GeminiClient,
    GeminiError,
    GeminiRefusedError,
)
from transforms.models.captions.gemini_settings import GeminiSettings

_ANSWER_SECONDS = 10.0
_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?", re.ASCII)
_NOT_FOUND = 404
_GENERATE = "generateContent"


def spec(config: CaptionedConfig) -> EngineSpec:
    """Return the engine of ``captioning_algorithm=gemini``.

    Raises:
        UsageError: The model's name is none.
        PreflightError: There is no key, or the API does not answer, take it or know the model.
    """
    options = config.captioning
    limit = options.captioning_max_output_tokens
    settings = GeminiSettings(
        model=known_model(options.gemini_model_name),
        max_tokens=limit if limit > 0 else None,
        max_inline_bytes=int(options.gemini_max_inline_mb * 2**20),
        slots=options.api_caption_batch_size,
        retries=options.gemini_caption_retries,
        retry_delay_seconds=options.gemini_retry_delay_seconds,
    )
    return EngineSpec("gemini", settings)


@functools.cache
def known_model(name: str) -> str:
    """Return the full name of a model that the API has for this key and that can caption.

    Raises:
        UsageError: It is no name of a model.
        PreflightError: The API does not answer, refuses the key, or does not have the model.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"gemini_model_name={name!r} is no name of a model such as models/gemini-2.5-pro"
        )
    model = name if "/" in name else f"models/{name}"
    client = GeminiClient(gemini_access(), timeout_seconds=_ANSWER_SECONDS)
    try:
        found = client.model(model)
    except GeminiRefusedError as error:
        raise PreflightError(f"{client.where}: {_refusal(error, client, model)}") from None
    except GeminiError as error:
        raise PreflightError(
            f"{client.where}: does not answer as the Gemini API ({error}); check the network and "
            "its proxy (HTTPS_PROXY), or correct GOOGLE_GEMINI_BASE_URL"
        ) from None
    finally:
        client.close()
    methods = found.get("supportedGenerationMethods")
    if isinstance(methods, list) and _GENERATE not in methods:
        raise PreflightError(
            f"{client.where}: {model} cannot caption (it has {', '.join(map(str, methods))}, not "
            f"{_GENERATE}); name another with --gemini_model_name"
        )
    return model


def _refusal(error: GeminiRefusedError, client: GeminiClient, model: str) -> str:
    if error.is_about_access:
        return f"refuses the API key ({error}); set GEMINI_API_KEY"
    if error.status != _NOT_FOUND:
        return f"does not tell whether it has {model} ({error}); try again later"
    try:
        names = [name for name in client.models() if "gemini" in name]
    except GeminiError:
        # The first error is the one to tell.
        names = []
    there = f"; it has {', '.join(names[:20])}" if names else ""
    return f"does not have {model}{there}: name one with --gemini_model_name"
