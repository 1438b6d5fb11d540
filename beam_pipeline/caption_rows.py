"""The row of the model that captions."""

from __future__ import annotations

from beam_pipeline.captions import caption_settings
from beam_pipeline.config import CurateConfig, SplitConfig
from beam_pipeline.model_row import ModelRow
from transforms.errors import PreflightError

_SERVED = ("openai", "gemini")


def rows(config: SplitConfig | CurateConfig) -> list[ModelRow]:
    """Return the row of the caption model, where there are captions."""
    algorithm = config.caption_model.captioning_algorithm
    try:
        settings = caption_settings(config)
    except PreflightError as error:
        return [ModelRow("captions", algorithm, device="endpoint", problems=(str(error),))]
    if settings is None:
        return []
    return [
        ModelRow(
            "captions",
            str(settings.engine.settings.definition().get("model", algorithm)),
            where=settings.engine.settings.found,
            device="endpoint" if settings.engine.kind in _SERVED else "auto",
        )
    ]
