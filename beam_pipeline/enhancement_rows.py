"""The row of the text model that rewrites captions."""

from __future__ import annotations

from beam_pipeline.caption_chain import enhance_settings
from beam_pipeline.config import CaptionedConfig
from beam_pipeline.model_row import ModelRow, local_row
from transforms.errors import PreflightError

_PACKAGES = {"torch": "models", "transformers": "models"}


def rows(config: CaptionedConfig) -> list[ModelRow]:
    """Return the row of the text model, where captions are rewritten."""
    options = config.enhancement
    if not (config.captioning.generate_captions and options.enhance_captions):
        return []
    if options.enhance_captions_lm_variant == "openai":
        return [_served(config)]
    row = local_row(
        "enhancement",
        options.enhance_captions_model or options.enhance_captions_lm_variant,
        task="text",
        model_weights_path=config.model_files.folder,
        packages=_PACKAGES,
    )
    return [row]


def _served(config: CaptionedConfig) -> ModelRow:
    name = config.enhancement.enhance_captions_openai_model
    try:
        settings = enhance_settings(config)
    except PreflightError as error:
        return ModelRow("enhancement", name, device="endpoint", problems=(str(error),))
    assert settings is not None
    model = settings.model
    return ModelRow("enhancement", model.model, where=model.found, device="endpoint")
