"""Captions by a server: is it there, and does it serve the model?"""

from __future__ import annotations

import functools
import importlib.util

from beam_pipeline.configuration.config import CaptionedConfig
from transforms.annotate.caption_settings import EngineSpec
from transforms.errors import PreflightError
from transforms.models.captions.settings import OpenAISettings
from transforms.storage.endpoints import shown_endpoint

ASKER = "captioning_algorithm=openai"
_ANSWER_SECONDS = 10.0


def spec(config: CaptionedConfig) -> EngineSpec:
    """Return the engine of ``captioning_algorithm=openai``.

    Raises:
        PreflightError: The endpoint is not there, or does not serve the model.
    """
    options = config.captioning
    limit = options.captioning_max_output_tokens
    settings = OpenAISettings(
        model=served_model(options.openai_model_name),
        max_tokens=limit if limit > 0 else None,
        slots=options.api_caption_batch_size,
        retries=options.openai_caption_retries,
        retry_delay_seconds=options.openai_retry_delay_seconds,
    )
    return EngineSpec("openai", settings)


@functools.cache
def served_model(
    name: str, use: str = "caption", option: str = "openai_model_name", asker: str = ASKER
) -> str:
    """Return the model to ask for; ``auto`` is the only one that the endpoint serves.

    Args:
        name: Value of the option.
        use: As for ``openai_access``.
        option: Its name, for messages.
        asker: The option that asks for an endpoint, for messages.

    Raises:
        PreflightError: The package is missing, the endpoint does not answer or refuses the key, or
            it does not serve the model.
    """
    if importlib.util.find_spec("openai") is None:
        raise PreflightError(f"{asker} needs the package openai: pip install 'beam-curate[api]'")
    import openai  # noqa: PLC0415 - an extra

    from transforms.models.api_access import openai_access  # noqa: PLC0415

    access = openai_access(use)
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
    return _chosen(name, served, where, option)


def _chosen(name: str, served: list[str], where: str, option: str) -> str:
    shown = ", ".join(served[:10]) or "none"
    if name == "auto":
        if len(served) != 1:
            raise PreflightError(
                f"{where}: serves {len(served)} models ({shown}); name one with --{option}"
            )
        return served[0]
    if name not in served:
        raise PreflightError(
            f"{where}: does not serve {name}; it serves {shown}: name one with --{option}"
        )
    return name
