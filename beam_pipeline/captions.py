"""From options to what captioning needs; and what must be there for it before a run starts."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

from beam_pipeline.caption_engines import gemini, local, served
from beam_pipeline.config import CurateConfig, PipelineConfig, SplitConfig
from transforms.annotate.caption_prompts import PROMPTS, check_prompt
from transforms.annotate.caption_settings import CaptionSettings, EngineSpec
from transforms.errors import PreflightError, UsageError

SplitLike = SplitConfig | CurateConfig

_logger = logging.getLogger(__name__)


def captions_here(config: PipelineConfig) -> tuple[bool, str]:
    """Return whether ``generate_captions=auto`` makes captions on this machine, and why."""
    if not isinstance(config, SplitConfig | CurateConfig):
        return False, f"{config.pipeline} makes none"
    try:
        settings = _settings(config)
    except PreflightError as error:
        _logger.debug("%s", error)
        return False, re.split(r"; |: ", str(error))[0]
    return True, settings.engine.settings.found


def caption_settings(config: SplitLike) -> CaptionSettings | None:
    """Return what captioning needs, None when no captions are made.

    Raises:
        UsageError: The prompt cannot be used.
        PreflightError: Captions are asked for, and the engine is not there or does not answer.
    """
    wanted = config.captioning.generate_captions
    if not wanted:
        return None
    try:
        return _settings(config)
    except PreflightError:
        # What auto came to, and why, is told by captions_here.
        if wanted == "auto":
            return None
        raise


def caption_definition(config: SplitLike, settings: CaptionSettings) -> dict[str, Any]:
    """Return what the fingerprint of captions covers: what decides their text."""
    seen = settings.frames_fps
    return {
        **({} if seen is None else {"sampling_fps": seen}),
        "algorithm": config.caption_model.captioning_algorithm,
        "prompt": settings.prompt,
        **settings.engine.settings.definition(),
    }


def engine_spec(config: SplitLike) -> EngineSpec:
    """Return the engine that the options name, having found that it can run.

    Raises:
        PreflightError: It cannot: package, weights, device or endpoint is missing.
    """
    algorithm = config.caption_model.captioning_algorithm
    if algorithm == "openai":
        return served.spec(config)
    if algorithm in local.ALGORITHMS:
        return local.spec(config)
    if algorithm == "gemini":
        return gemini.spec(config)
    raise PreflightError(
        f"captioning_algorithm={algorithm} is not built yet; serve the model "
        "(vllm serve ...) and use captioning_algorithm=openai, or leave captions out with "
        "generate_captions=false"
    )


def _settings(config: SplitLike) -> CaptionSettings:
    prompt = _prompt_text(config)
    return CaptionSettings(
        engine_spec(config), prompt, sampling_fps=config.captioning.captioning_sampling_fps
    )


def _prompt_text(config: SplitLike) -> str:
    options = config.captioning
    if options.captioning_prompt_text is not None and options.captioning_prompt_file is not None:
        raise UsageError(
            "captioning_prompt_text and captioning_prompt_file exclude each other; keep one"
        )
    if options.captioning_prompt_file is not None:
        path = Path(options.captioning_prompt_file).expanduser()
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"captioning_prompt_file={path}: cannot be read: {error}") from error
        check_prompt(text, option=f"captioning_prompt_file={path}")
        return text
    if options.captioning_prompt_text is not None:
        check_prompt(options.captioning_prompt_text, option="captioning_prompt_text")
        return options.captioning_prompt_text
    return PROMPTS[options.captioning_prompt_variant]
