"""Options that are ``auto``: what they come to on this machine."""

from __future__ import annotations

from typing import Any

from beam_pipeline.config import PipelineConfig


def resolve_auto(config: PipelineConfig) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Return what became of options that are ``auto``, as it is stored, and a line for each.

    The configuration itself keeps ``auto``: a later run decides anew.

    Example:
        >>> from beam_pipeline.config import SplitConfig
        >>> resolved, lines = resolve_auto(SplitConfig())
        >>> resolved["generate_captions"]
        {'requested': 'auto', 'resolved': False, 'why': 'captions are not built yet'}
        >>> lines[1]
        'generate_captions: auto is off here (captions are not built yet)'
    """
    resolved: dict[str, dict[str, Any]] = {}
    for _, section in config.sections():
        name = section.auto_option
        if name and getattr(section, name) == "auto":
            on, why = section.decide_auto()
            resolved[name] = {"requested": "auto", "resolved": on, "why": why}
    lines = [
        f"{name}: auto is {'on' if choice['resolved'] else 'off'} here ({choice['why']})"
        for name, choice in resolved.items()
    ]
    return resolved, lines
