"""Captions by vLLM in the worker: from options to its settings (contract §1.1, §1.14)."""

from __future__ import annotations

import importlib.util
import json
from typing import Any

from beam_pipeline.configuration.config import CaptionedConfig
from beam_pipeline.models.caption_engines.local import ALGORITHMS, check_model, sampling
from transforms.annotate.caption_settings import EngineSpec
from transforms.errors import PreflightError, UsageError
from transforms.models.captions import vllm_calls
from transforms.models.captions.vllm_settings import VllmSettings
from transforms.models.catalogue import find_entry
from transforms.models.weights import locate_weights
from transforms.models.weights_digest import weights_digest

SplitLike = CaptionedConfig

CONTEXT = 32768
"""Tokens of prompt and answer together, unless options say otherwise."""
_PREFIX = "vllm_async_"
_AS_THEY_ARE = (
    *("gpu_memory_utilization", "max_model_len", "dtype", "quantization"),
    *("max_num_batched_tokens", "max_num_seqs", "enforce_eager", "limit_mm_per_prompt"),
    *("mm_encoder_tp_mode", "kv_cache_dtype", "mm_processor_cache_gb", "mm_processor_cache_type"),
    *("trust_remote_code", "disable_log_stats", "async_scheduling", "enable_chunked_prefill"),
    *("disable_chunked_mm_input", "long_prefill_token_threshold", "stream_interval"),
    *("skip_mm_profiling", "mm_processor_kwargs", "data_parallel_size"),
)
"""Options ``vllm_async_X`` that are vLLM's own ``X``."""
_ZERO_DECIDES = frozenset(
    {"max_model_len", "max_num_batched_tokens", "max_num_seqs", "long_prefill_token_threshold"}
)
"""Numbers that vLLM chooses when they are 0; null and empty texts leave it every choice."""
_CUDAGRAPH_MODES = ("none", "piecewise", "full", "full_decode_only", "full_and_piecewise")
_REQUESTS_PER_GPU = 256
_THINKING = frozenset({"cosmos_r1"})


def spec(config: SplitLike) -> EngineSpec:
    """Return the engine: that of ``vllm_async``, or of a model that has a name of its own.

    Raises:
        UsageError: Options contradict each other.
        PreflightError: The package or the weights are missing, or the model cannot caption.
    """
    is_async = config.caption_model.captioning_algorithm == "vllm_async"
    engine = _async_engine(config) if is_async else _engine(config)
    limit = config.captioning.captioning_max_output_tokens
    context = engine.get("max_model_len")
    if limit > 0 and context is not None and limit >= context:
        raise UsageError(
            f"captioning_max_output_tokens={limit} leaves no room for a window in the context of "
            f"{context} tokens; lower it, or raise vllm_async_max_model_len"
        )
    if importlib.util.find_spec("vllm") is None:
        raise PreflightError(
            "vLLM is not installed: pip install 'beam-curate[vllm]' (Linux, a GPU); or "
            "captioning_engine=transformers, or a server and captioning_algorithm=openai"
        )
    options = config.local_captions
    name = model_name(config)
    revision, files = options.captioning_model_revision, config.model_files.folder
    weights = locate_weights(name, model_weights_path=files, revision=revision, task="caption")
    folder = str(weights.path.resolve())
    check_model(folder, trust_remote_code=bool(engine["trust_remote_code"]))
    settings = VllmSettings(
        model=name,
        path=folder,
        digest=weights_digest(weights.path),
        revision=revision,
        model_weights_path=files,
        engine_json=json.dumps(engine, sort_keys=True),
        max_tokens=limit if limit > 0 else None,
        sampling=sampling(options),
        slots=_slots(config),
        retries=options.vllm_max_retries,
        environment=_environment(config) if is_async else (),
        reasons=_catalogue_name(name) in _THINKING,
    )
    return EngineSpec("vllm", settings)


def is_meant(config: SplitLike) -> bool:
    """Return whether vLLM is to caption: it is named, or is there for ``captioning_engine=auto``.

    Raises:
        UsageError: Options contradict each other.
    """
    algorithm = config.caption_model.captioning_algorithm
    engine = config.local_captions.captioning_engine
    if algorithm == "vllm_async":
        if engine == "transformers":
            raise UsageError(
                "captioning_engine=transformers contradicts captioning_algorithm=vllm_async; name "
                "the model itself, such as captioning_algorithm=qwen"
            )
        return True
    if algorithm not in ALGORITHMS or engine == "transformers":
        return False
    wants_cpu = config.local_captions.captioning_device == "cpu"
    return engine == "vllm" or (not wants_cpu and _is_here())


def _is_here() -> bool:
    return importlib.util.find_spec("vllm") is not None and vllm_calls.num_devices() != 0


def needs_gpu() -> bool:
    """Return whether vLLM, as far as it is installed here, needs a GPU: there is a build that runs
    on processors."""
    return importlib.util.find_spec("vllm") is None or vllm_calls.num_devices() is not None


def check_device(config: SplitLike) -> None:
    """Check that there are as many GPUs as the engine takes; for runs on this machine.

    Raises:
        PreflightError: There are fewer.
    """
    if importlib.util.find_spec("vllm") is None:
        return
    found = vllm_calls.num_devices()
    wanted = num_gpus(config)
    if found is not None and found < wanted:
        raise PreflightError(
            f"captions by vLLM take {wanted} GPU{'s' if wanted > 1 else ''}, and vLLM sees {found} "
            "here; run on a machine that has them, lower vllm_async_num_gpus, or use "
            "captioning_engine=transformers or a server (captioning_algorithm=openai)"
        )


def model_name(config: SplitLike) -> str:
    """Return which model is meant: a name of the catalogue, a hub id or a folder."""
    algorithm = config.caption_model.captioning_algorithm
    named = config.local_captions.captioning_model
    if algorithm == "vllm_async":
        return named or config.async_engine.vllm_async_model_name
    return named or algorithm


def num_gpus(config: SplitLike) -> int:
    """Return how many GPUs one engine takes."""
    is_async = config.caption_model.captioning_algorithm == "vllm_async"
    return config.async_engine.vllm_async_num_gpus if is_async else 1


def gpu_share(config: SplitLike) -> float:
    """Return the part of a GPU's memory that vLLM takes."""
    if config.caption_model.captioning_algorithm == "vllm_async":
        return config.async_engine.vllm_async_gpu_memory_utilization
    return 0.9 if _catalogue_name(model_name(config)) == "nemotron" else 0.85


def _engine(config: SplitLike) -> dict[str, Any]:
    """Return vLLM's settings for a model that has a name of its own."""
    options = config.local_captions
    is_fp8 = options.qwen_use_fp8_weights and _catalogue_name(model_name(config)) == "qwen"
    return {
        "trust_remote_code": config.model_files.trust_remote_code,
        "max_model_len": CONTEXT,
        "gpu_memory_utilization": gpu_share(config),
        "compilation_config": {"cudagraph_mode": "PIECEWISE"},
        "limit_mm_per_prompt": {"image": 0, "video": 1},
        "mm_processor_cache_gb": 4.0 if options.qwen_use_vllm_mmcache else 0.0,
        "performance_mode": options.vllm_performance_mode,
        "disable_log_stats": True,
        **({"quantization": "fp8"} if is_fp8 else {}),
    }


def _async_engine(config: SplitLike) -> dict[str, Any]:
    """Return vLLM's settings as the options ``vllm_async_*`` give them."""
    options = config.async_engine
    engine: dict[str, Any] = {"trust_remote_code": config.model_files.trust_remote_code}
    for name in _AS_THEY_ARE:
        value = getattr(options, _PREFIX + name)
        is_open = value in (None, "") or (name in _ZERO_DECIDES and value == 0)
        if not is_open:
            engine[name] = value
    if _catalogue_name(model_name(config)) == "qwen":
        engine.setdefault("max_model_len", CONTEXT)
        engine.setdefault("max_num_batched_tokens", CONTEXT)
    mode = options.vllm_async_cudagraph_mode.lower()
    if mode not in _CUDAGRAPH_MODES:
        raise UsageError(
            f"vllm_async_cudagraph_mode={mode}: must be one of {', '.join(_CUDAGRAPH_MODES)}"
        )
    gpus, copies = options.vllm_async_num_gpus, options.vllm_async_data_parallel_size
    if gpus % copies:
        raise UsageError(
            f"vllm_async_num_gpus={gpus} cannot be shared out among "
            f"vllm_async_data_parallel_size={copies} copies of the model; give a multiple"
        )
    engine["tensor_parallel_size"] = gpus // copies
    engine["compilation_config"] = {"cudagraph_mode": mode.upper()}
    engine["performance_mode"] = config.local_captions.vllm_performance_mode
    return engine


def _slots(config: SplitLike) -> int:
    asked = config.async_engine.vllm_async_max_concurrent_requests
    if config.caption_model.captioning_algorithm == "vllm_async" and asked:
        return asked
    return _REQUESTS_PER_GPU * num_gpus(config)


def _environment(config: SplitLike) -> tuple[tuple[str, str], ...]:
    secret = config.async_engine.vllm_async_extra_env_vars
    given = secret.get_secret_value() if secret else ""
    pairs = [pair.partition("=") for pair in given.split(",") if pair.strip()]
    for name, equals, _ in pairs:
        if not equals or not name.strip():
            raise UsageError("vllm_async_extra_env_vars must be NAME=VALUE separated by commas")
    return tuple((name.strip(), value) for name, _, value in pairs)


def _catalogue_name(name: str) -> str:
    found = find_entry(name, "caption")
    return found.name if found else name
