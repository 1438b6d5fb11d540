"""From options to what captioning needs; and what must be there for it before a run starts."""

from __future__ import annotations

import dataclasses
import logging
from typing import Any

from beam_pipeline.configuration.config import (
    CaptionedConfig,
    CurateConfig,
    PipelineConfig,
    SplitConfig,
)
from beam_pipeline.configuration.prompt_files import read_prompt
from beam_pipeline.models.caption_chain import chain_settings, enhance_settings
from beam_pipeline.models.caption_engines import gemini, local, served, vllm
from beam_pipeline.models.short_reason import short_reason
from transforms.annotate.caption_prompts import PROMPTS, check_prompt
from transforms.annotate.caption_settings import CaptionSettings, EngineSpec
from transforms.errors import PreflightError, UsageError
from transforms.run_context import CaptionWriting

SplitLike = CaptionedConfig
_SERVED = ("openai", "gemini")

_logger = logging.getLogger(__name__)


def captions_here(config: PipelineConfig) -> tuple[bool, str]:
    """Return whether ``generate_captions=auto`` makes captions on this machine, and why."""
    if not isinstance(config, SplitConfig | CurateConfig):
        return False, f"{config.pipeline} makes none"
    try:
        settings = _settings(config)
    except PreflightError as error:
        if not _may_be_left_out(config):
            raise
        _logger.debug("%s", error)
        return False, short_reason(error)
    return True, settings.engine.settings.found


def caption_settings(config: SplitLike) -> CaptionSettings | None:
    """Return what captioning needs, None when no captions are made.

    Raises:
        UsageError: A prompt or the schema cannot be used, or options contradict each other.
        PreflightError: Captions are asked for, and the engine is not there or does not answer.
    """
    wanted = config.captioning.generate_captions
    if not wanted:
        return None
    try:
        return _settings(config)
    except PreflightError:
        # What auto came to, and why, is told by captions_here.
        if wanted == "auto" and _may_be_left_out(config):
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
        **settings.chain.definition(),
    }


def engine_spec(config: SplitLike) -> EngineSpec:
    """Return the engine that the options name, having found that it can run.

    Raises:
        PreflightError: It cannot: package, weights, device or endpoint is missing.
    """
    algorithm = config.caption_model.captioning_algorithm
    _check_served(config)
    if algorithm == "openai":
        return served.spec(config)
    if algorithm == "gemini":
        return gemini.spec(config)
    if vllm.is_meant(config):
        return vllm.spec(config)
    if algorithm in local.ALGORITHMS:
        return local.spec(config)
    raise AssertionError(f"nobody captions for captioning_algorithm={algorithm}")


def _check_served(config: SplitLike) -> None:
    """Raise UsageError where a local model is named beside an algorithm that would not load it."""
    algorithm, named = (
        config.caption_model.captioning_algorithm,
        config.local_captions.captioning_model,
    )
    if named is not None and algorithm in _SERVED:
        raise UsageError(
            f"captioning_model={named} is for models in the worker, and "
            f"captioning_algorithm={algorithm} asks a server: name its model with "
            f"--{algorithm}_model_name, or leave captioning_algorithm out"
        )


def _settings(config: SplitLike) -> CaptionSettings:
    prompt, chain = _prompt_text(config), chain_settings(config)
    engine = engine_spec(config)
    return CaptionSettings(
        engine,
        prompt,
        sampling_fps=config.captioning.captioning_sampling_fps,
        chain=dataclasses.replace(chain, enhance=enhance_settings(config)),
    )


def _may_be_left_out(config: SplitLike) -> bool:
    """Return whether a run without captions is what was asked for, should there be no engine."""
    dataset = config.output.generate_cosmos_predict_dataset
    return not config.enhancement.enhance_captions and dataset == "disable"


def caption_writing(config: SplitLike, settings: CaptionSettings | None) -> CaptionWriting:
    """Return how captions are judged and what is written of them.

    Raises:
        UsageError: A dataset of captions is asked for, and no captions.
    """
    dataset = config.output.generate_cosmos_predict_dataset
    if settings is None:
        if dataset != "disable":
            raise UsageError(
                f"generate_cosmos_predict_dataset={dataset} needs captions: leave "
                "generate_captions=false out, or this"
            )
        return CaptionWriting()
    options = config.captioning
    enhance = settings.chain.enhance
    return CaptionWriting(
        flags=options.caption_quality_flags_enabled,
        stats=options.caption_quality_stats_enabled,
        language=options.captioning_language or "",
        enhanced_by=enhance.lm if enhance else "",
        predict_dataset=dataset != "disable",
    )


def _prompt_text(config: SplitLike) -> str:
    options = config.captioning
    if options.captioning_prompt_text is not None and options.captioning_prompt_file is not None:
        raise UsageError(
            "captioning_prompt_text and captioning_prompt_file exclude each other; keep one"
        )
    if options.captioning_prompt_file is not None:
        text = read_prompt(options.captioning_prompt_file)
        check_prompt(text, option=f"captioning_prompt_file={options.captioning_prompt_file}")
        return text
    if options.captioning_prompt_text is not None:
        check_prompt(options.captioning_prompt_text, option="captioning_prompt_text")
        return options.captioning_prompt_text
    return PROMPTS[options.captioning_prompt_variant]
