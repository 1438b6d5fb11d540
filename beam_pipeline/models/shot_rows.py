"""The row of the model that detects shots."""

from __future__ import annotations

from dataclasses import replace

from beam_pipeline.configuration.config import CurateConfig, SplitConfig
from beam_pipeline.models.detection import asks_network, check_compat, check_detection
from beam_pipeline.models.model_row import ModelRow, checked, local_row


def rows(config: SplitConfig | CurateConfig) -> list[ModelRow]:
    """Return the row of TransNetV2 where it looks at the frames."""
    if not asks_network(config):
        return []
    row = local_row(
        "shots",
        "transnetv2",
        task="shots",
        model_weights_path=config.model_files.folder,
        packages={"torch": "models"},
    )
    if row.problems:
        ways = "; or use --splitting_algorithm content, which needs no model"
        row = replace(row, problems=tuple(problem + ways for problem in row.problems))
    else:
        # Weights of another model are found out by loading them.
        row = checked(row, lambda: check_detection(config))
    return [checked(row, lambda: check_compat(config))]
