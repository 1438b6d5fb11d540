"""What options that are left open come to on this machine, and in the output that is gone on with.

One place for the run, its plan and its check, so that all three tell the same.
"""

from __future__ import annotations

from beam_pipeline.configuration.auto_options import Choices, resolve_auto
from beam_pipeline.configuration.config import AnyConfig
from beam_pipeline.models.detection import settle_splitting
from beam_pipeline.models.embeddings import settle_embedding
from beam_pipeline.preparation.clip_inputs import settle_clip_input
from beam_pipeline.preparation.stored_captions import settle_captioner


def settle_here(config: AnyConfig) -> tuple[AnyConfig, Choices, list[str]]:
    """Return the configuration with nothing left open, what ``auto`` became, and lines about it.

    Raises:
        UsageError: The options contradict each other.
        PreflightError: What cannot be left out is not here.
    """
    config, splitting = settle_splitting(config)
    config, shortest = settle_clip_input(config)
    config, embedding = settle_embedding(config)
    config, captioner = settle_captioner(config)
    config, choices, lines = resolve_auto(config)
    return config, choices, [*lines, *filter(None, [splitting, shortest, embedding, captioner])]
