"""The row of the text model that rewrites captions."""

from __future__ import annotations

from beam_pipeline.configuration.config import CaptionedConfig
from beam_pipeline.models import text_models
from beam_pipeline.models.caption_chain import enhance_settings
from beam_pipeline.models.model_row import ModelRow
from transforms.errors import PreflightError


def rows(config: CaptionedConfig) -> list[ModelRow]:
    """Return the row of the text model, where captions are made and rewritten."""
    options = config.enhancement
    if not (config.captioning.generate_captions and options.enhance_captions):
        return []
    if options.enhance_captions_lm_variant != "openai":
        return [text_models.row(config)]
    named = options.enhance_captions_openai_model
    try:
        settings = enhance_settings(config)
    except PreflightError as error:
        return [ModelRow("enhancement", named, device="endpoint", problems=(str(error),))]
    assert settings is not None
    found = settings.model
    return [ModelRow("enhancement", found.model, where=found.found, device="endpoint")]
