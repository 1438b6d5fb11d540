"""A text model in the workers that rewrites captions: is it there, whole, and a text model?"""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path

from beam_pipeline.configuration.config import CaptionedConfig
from beam_pipeline.models.model_row import Device, ModelRow, checked, local_row
from transforms.errors import PreflightError
from transforms.models.captions.settings import TextModelSettings
from transforms.models.weights import find_weights
from transforms.models.weights_digest import weights_digest

_PACKAGES = {"torch": "models", "transformers": "models"}
_DEVICES: dict[str, Device] = {"auto": "auto", "cpu": "cpu", "cuda": "gpu"}


def row(config: CaptionedConfig) -> ModelRow:
    """Return the row of the text model: where it is, or what stands in its way."""
    found = local_row(
        "enhancement",
        _name(config),
        task="text",
        model_weights_path=config.model_files.folder,
        packages=_PACKAGES,
    )
    device = _DEVICES[config.local_captions.captioning_device]
    found = dataclasses.replace(found, device=device)
    return found if found.problems else checked(found, lambda: _check(_folder(config)))


def settings(config: CaptionedConfig) -> TextModelSettings:
    """Return what a worker needs to load the text model.

    Raises:
        PreflightError: It is not there, or is none.
    """
    found = row(config)
    if found.problems:
        raise PreflightError(found.problems[0])
    options = config.enhancement
    limit = options.enhance_captions_max_output_tokens
    folder = _folder(config)
    return TextModelSettings(
        model=found.model,
        path=folder,
        digest=_digest(folder),
        model_weights_path=config.model_files.folder,
        max_tokens=limit if limit > 0 else None,
        slots=options.enhance_captions_batch_size,
        device=config.local_captions.captioning_device,
    )


def _name(config: CaptionedConfig) -> str:
    options = config.enhancement
    return options.enhance_captions_model or options.enhance_captions_lm_variant


def _folder(config: CaptionedConfig) -> str:
    root = config.model_files.folder
    return str(find_weights(_name(config), model_weights_path=root, task="text").resolve())


@functools.cache
def _digest(folder: str) -> str:
    return weights_digest(Path(folder))


@functools.cache
def _check(folder: str) -> None:
    """Check that a folder holds a text model, without loading its weights.

    Raises:
        PreflightError: It does not.
    """
    import transformers  # noqa: PLC0415 - an extra

    try:
        config = transformers.AutoConfig.from_pretrained(
            folder,
            local_files_only=True,
            # Left out, transformers asks at the terminal, and runs the code on a yes.
            trust_remote_code=False,
        )
    except (OSError, ValueError, KeyError) as error:
        first_line = str(error).partition("\n")[0]
        raise PreflightError(f"{folder}: its config.json cannot be read ({first_line})") from None
    if type(config) not in transformers.MODEL_FOR_CAUSAL_LM_MAPPING:
        raise PreflightError(
            f"{folder}: a model of kind {config.model_type} writes no text; name one such as "
            "Qwen/Qwen2.5-14B-Instruct with enhance_captions_model"
        )
