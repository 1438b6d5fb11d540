"""Options that are ``auto``: what they come to on this machine."""

from __future__ import annotations

from typing import Any

from beam_pipeline.captions import captions_here
from beam_pipeline.config import PipelineConfig
from beam_pipeline.embeddings import embeddings_here
from transforms.annotate.caption_options import Captioning
from transforms.annotate.embedding_options import Embedding


def resolve_auto(config: PipelineConfig) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Return what became of options that are ``auto``, as it is stored, and a line for each.

    The configuration itself keeps ``auto``: a later run decides anew.

    Example:
        >>> from beam_pipeline.config import SplitConfig
        >>> resolved, lines = resolve_auto(SplitConfig())
        >>> resolved["generate_embeddings"]["requested"]
        'auto'
    """
    resolved: dict[str, dict[str, Any]] = {}
    for _, section in config.sections():
        name = section.auto_option
        if name and getattr(section, name) == "auto":
            if isinstance(section, Captioning):
                on, why = captions_here(config)
            elif isinstance(section, Embedding):
                on, why = embeddings_here(config)
            else:
                on, why = section.decide_auto()
            resolved[name] = {"requested": "auto", "resolved": on, "why": why}
    lines = [
        f"{name}: auto is {'on' if choice['resolved'] else 'off'} here ({choice['why']})"
        for name, choice in resolved.items()
    ]
    return resolved, lines
