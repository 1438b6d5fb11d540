"""Options that are ``auto``: what they come to on this machine, and in an unfinished run."""

from __future__ import annotations

from typing import Any, TypeVar

from beam_pipeline.configuration.config import CurateConfig, PipelineConfig, SplitConfig
from beam_pipeline.models.captions import captions_here
from beam_pipeline.models.embeddings import embeddings_here
from transforms.annotate.caption_options import Captioning
from transforms.annotate.embedding_options import Embedding
from transforms.json_files import read_json_if_there
from transforms.layout import current_run_uri, options_uri, wave_uri
from transforms.storage.open_storage import storage_for
from transforms.storage.uris import absolute

Config = TypeVar("Config", bound=PipelineConfig)
Choices = dict[str, dict[str, Any]]
"""Option to ``{"requested", "resolved", "why"}``, as ``runs/options.json`` holds it."""


def resolve_auto(config: Config) -> tuple[Config, Choices, list[str]]:
    """Return the configuration with each ``auto`` settled, the choices, and a line for each.

    A run that is not finished keeps what it was begun with, also when an endpoint has gone or
    come meanwhile: half of a data set with captions is none. A new run decides anew.

    Example:
        >>> from beam_pipeline.configuration.config import SplitConfig
        >>> config, resolved, lines = resolve_auto(SplitConfig())
        >>> resolved["generate_embeddings"]["requested"]
        'auto'
        >>> config.embedding.generate_embeddings in (True, False)
        True
    """
    kept = _unfinished_choices(config)
    resolved: Choices = {}
    settled: dict[str, Any] = {}
    for field, section in config.sections():
        name = section.auto_option
        if not name or getattr(section, name) != "auto":
            continue
        if name in kept:
            on, why = bool(kept[name]["resolved"]), str(kept[name]["why"])
        elif isinstance(section, Captioning):
            on, why = captions_here(config)
        elif isinstance(section, Embedding):
            on, why = embeddings_here(config)
        else:
            on, why = section.decide_auto()
        resolved[name] = {"requested": "auto", "resolved": on, "why": why}
        settled[field] = section.model_copy(update={name: on})
    lines = [_line(name, choice, is_kept=name in kept) for name, choice in resolved.items()]
    return config.model_copy(update=settled), resolved, lines


def _line(name: str, choice: dict[str, Any], *, is_kept: bool) -> str:
    state = "on" if choice["resolved"] else "off"
    if not is_kept:
        return f"{name}: auto is {state} here ({choice['why']})"
    ways = "false leaves it out" if choice["resolved"] else "true turns it on"
    return (
        f"{name}: auto is {state} as in the unfinished run here ({choice['why']}); --{name} {ways}"
    )


def as_requested(options: dict[str, Any], choices: Choices) -> dict[str, Any]:
    """Return the options with ``auto`` where it was asked for, as they are stored."""
    return {**options, **{name: choice["requested"] for name, choice in choices.items()}}


def _unfinished_choices(config: PipelineConfig) -> Choices:
    """Return what ``auto`` became in the run of this output that is not finished, if there is one.

    A run that is finished, or had not selected anything yet, binds nobody.
    """
    if not isinstance(config, SplitConfig | CurateConfig) or config.run.overwrite:
        return {}
    if not config.output.output_clip_path:
        return {}
    root = absolute(config.output.output_clip_path)
    storage = storage_for(root)
    if not any(storage.exists(uri) for uri in (current_run_uri(root), wave_uri(root))):
        return {}
    stored: Choices = (read_json_if_there(options_uri(root)) or {}).get("resolved", {})
    return stored
