"""From options to what works on top of the engine that captions."""

from __future__ import annotations

from pathlib import Path

from beam_pipeline.configuration.config import CaptionedConfig
from beam_pipeline.models import text_models
from beam_pipeline.models.caption_engines.served import served_model
from transforms.annotate.later_prompts import ENHANCE_PROMPTS, SECOND_PASS, with_caption
from transforms.errors import UsageError
from transforms.models.captions.chain.json_answer import schema_of
from transforms.models.captions.chain.settings import ChainSettings, EnhanceSettings
from transforms.models.captions.settings import OpenAISettings, Structure

SplitLike = CaptionedConfig

_SAMPLING = (0.1, 0.001)
"""Temperature and top_p with which upstream rewrites (contract §1.14)."""
_SERVED = ("openai", "gemini")


def chain_settings(config: SplitLike) -> ChainSettings:
    """Return what works on top of the engine, but for the text model.

    Raises:
        UsageError: A prompt or the schema cannot be used, or options contradict each other.
    """
    prompt = config.enhancement.enhance_captions_prompt_text
    if prompt is not None:
        with_caption(prompt, option="enhance_captions_prompt_text")
    return ChainSettings(_structure(config), second_pass_prompt(config))


def second_pass_prompt(config: SplitLike) -> str | None:
    """Return the prompt of the second pass, None when there is none.

    ``captioning_stage2`` is for every engine; upstream's switches are each for their own.

    Raises:
        UsageError: The prompt cannot be used, or a switch of another engine is on.
    """
    algorithm = config.caption_model.captioning_algorithm
    own = config.captioning
    local, vllm = config.local_captions, config.async_engine
    is_local = algorithm not in (*_SERVED, "vllm_async")
    switches = (
        ("captioning_stage2", own.captioning_stage2, True),
        ("qwen_stage2_caption", local.qwen_stage2_caption, is_local),
        ("nemotron_stage2_caption", local.nemotron_stage2_caption, algorithm == "nemotron"),
        ("vllm_async_stage2_caption", vllm.vllm_async_stage2_caption, algorithm == "vllm_async"),
    )
    for name, is_on, fits in switches:
        if is_on and not fits:
            raise UsageError(
                f"{name}=true has no meaning with captioning_algorithm={algorithm}; "
                "use captioning_stage2=true"
            )
    prompts = (
        ("captioning_stage2_prompt_text", own.captioning_stage2_prompt_text),
        ("qwen_stage2_prompt_text", local.qwen_stage2_prompt_text if is_local else None),
        (
            "vllm_async_stage2_prompt_text",
            vllm.vllm_async_stage2_prompt_text if algorithm == "vllm_async" else None,
        ),
    )
    given = [with_caption(text, option=name) for name, text in prompts if text is not None]
    if not any(is_on for _, is_on, _ in switches):
        return None
    return given[0] if given else SECOND_PASS


def enhance_settings(config: SplitLike) -> EnhanceSettings | None:
    """Return the text model that rewrites captions, having found that it is there.

    Raises:
        PreflightError: Endpoint, weights or package is missing.
    """
    options = config.enhancement
    if not options.enhance_captions:
        return None
    lm = options.enhance_captions_lm_variant
    text = options.enhance_captions_prompt_text
    prompt = ENHANCE_PROMPTS[options.enhance_captions_prompt_variant]
    if text is not None:
        prompt = with_caption(text, option="enhance_captions_prompt_text")
    model = _served(config) if lm == "openai" else text_models.settings(config)
    return EnhanceSettings(lm, prompt, model)


def _structure(config: SplitLike) -> Structure | None:
    named = config.captioning.captioning_json_schema
    if named is None:
        return None
    option = f"captioning_json_schema={named}"
    try:
        text = Path(named).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{option}: cannot be read: {error}; give a JSON file") from error
    return Structure(schema_of(text, option=option), config.captioning.captioning_json_retries)


def _served(config: SplitLike) -> OpenAISettings:
    options, api = config.enhancement, config.captioning
    limit = options.enhance_captions_max_output_tokens
    temperature, top_p = _SAMPLING
    return OpenAISettings(
        model=served_model(
            options.enhance_captions_openai_model,
            use="enhance",
            option="enhance_captions_openai_model",
            asker="enhance_captions_lm_variant=openai",
        ),
        max_tokens=limit if limit > 0 else None,
        slots=options.enhance_captions_batch_size,
        retries=api.openai_caption_retries,
        retry_delay_seconds=api.openai_retry_delay_seconds,
        temperature=temperature,
        top_p=top_p,
    )
