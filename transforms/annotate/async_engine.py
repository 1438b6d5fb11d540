"""Knobs of the caption engine behind ``captioning_algorithm=vllm_async``."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field, SecretStr

from transforms.section import Section, ignored, option


def _images_and_videos() -> dict[str, int]:
    return {"image": 0, "video": 1}


def _frame_pixels() -> dict[str, Any]:
    return {"max_pixels": 602112}


class AsyncEngine(Section):
    """vLLM's own settings (contract §1.1 Captioning); 0 or null: the engine decides."""

    title: ClassVar[str] = "Caption engine vllm_async"

    vllm_async_model_name: str = option("qwen")
    """Which model the engine serves."""
    vllm_async_stage_batch_size: int = ignored(
        0, instead="windows are handed over one by one: --vllm_async_max_concurrent_requests"
    )
    """Upstream's windows taken at once."""
    vllm_async_max_concurrent_requests: int = option(0, unit="requests", ge=0)
    """Requests in flight; 0: 256 for every GPU."""
    vllm_async_stage2_caption: bool = option(False)
    """Whether the model refines its own caption in a second pass."""
    vllm_async_stage2_prompt_text: str | None = option(None)
    """Prompt of the second pass in place of the built-in one."""
    vllm_async_num_gpus: int = option(1, unit="GPUs", ge=1)
    """GPUs of one engine, those of all its copies of the model together."""
    vllm_async_data_parallel_size: int = option(1, ge=1)
    """Copies of the model in one engine."""
    vllm_async_gpu_memory_utilization: float = option(0.85, gt=0, le=1)
    """Share of a GPU's memory that the engine takes."""
    vllm_async_max_model_len: int = option(0, unit="tokens", ge=0)
    """Longest context; 0: the model's own, 32768 for qwen."""
    vllm_async_dtype: str = option("auto")
    """Number type of the weights."""
    vllm_async_quantization: str | None = option(None)
    """How weights are quantised."""
    vllm_async_max_num_batched_tokens: int = option(0, unit="tokens", ge=0)
    """Tokens in one step; 0: 32768 for qwen."""
    vllm_async_max_num_seqs: int = option(0, unit="sequences", ge=0)
    """Sequences in one step."""
    vllm_async_enforce_eager: bool = option(False)
    """Whether CUDA graphs are switched off."""
    vllm_async_cudagraph_mode: str = option("piecewise")
    """How CUDA graphs are captured."""
    vllm_async_limit_mm_per_prompt: dict[str, int] = Field(default_factory=_images_and_videos)
    """Images and videos in one prompt."""
    vllm_async_mm_encoder_tp_mode: str = option("data")
    """How the vision encoder is spread over GPUs."""
    vllm_async_kv_cache_dtype: str = option("auto")
    """Number type of the key-value cache."""
    vllm_async_mm_processor_cache_gb: float = option(4.0, unit="GiB", ge=0)
    """Memory for preprocessed frames."""
    vllm_async_mm_processor_cache_type: str = option("")
    """Where preprocessed frames are kept."""
    vllm_async_trust_remote_code: bool | None = option(None)
    """Whether code in the model's repository may run; null: as trust_remote_code. Upstream's
    default is true: here it must be said."""
    vllm_async_disable_log_stats: bool = option(True)
    """Whether the engine keeps its statistics to itself."""
    vllm_async_async_scheduling: bool | None = option(None)
    """Whether steps are scheduled ahead."""
    vllm_async_enable_chunked_prefill: bool | None = option(None)
    """Whether long prompts are read in pieces."""
    vllm_async_disable_chunked_mm_input: bool = option(False)
    """Whether a video is never read in pieces."""
    vllm_async_long_prefill_token_threshold: int = option(0, unit="tokens", ge=0)
    """Prompts longer than this count as long."""
    vllm_async_stream_interval: int = option(9999, unit="tokens", ge=1)
    """How often partial results are handed out."""
    vllm_async_distributed_executor_backend: Literal["ray", "mp", "uni"] = ignored(
        "ray", instead="the engine always runs in the worker's own processes"
    )
    """Upstream's way to start the engine's processes."""
    vllm_async_skip_mm_profiling: bool = option(True)
    """Whether the engine starts without measuring a largest video."""
    vllm_async_mm_processor_kwargs: dict[str, Any] = Field(default_factory=_frame_pixels)
    """Settings of the model's own frame processor."""
    vllm_async_extra_env_vars: SecretStr | None = option(None)
    """Environment variables of the engine, NAME=VALUE separated by commas; never printed or
    stored."""
    vllm_async_num_workers_per_node: int = ignored(
        0, instead="the number of workers is the runner's: --direct_num_workers, --parallelism"
    )
    """Upstream's workers on a machine."""
