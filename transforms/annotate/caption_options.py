"""Options of captions; apart from the stage, so that ``--help`` needs no Beam."""

from __future__ import annotations

from typing import ClassVar, Literal

from transforms.section import Section, ignored, option

_WORKERS = "the number of workers is the runner's: --direct_num_workers, --parallelism"
_ONE_MODEL = "one model per worker process; the runner's preset places GPUs"

PromptVariant = Literal["default", "av", "av-surveillance"]
# fmt: off
CaptionLanguage = Literal[
    "ar", "cs", "de", "el", "en", "es", "fa", "fr", "he", "hi", "id", "it", "ja",
    "ko", "nl", "pl", "pt", "ro", "ru", "sv", "th", "tr", "uk", "vi", "zh",
]
# fmt: on


class Captioning(Section):
    """Options of captions whatever the model (contract §1.1 Captioning, §1.14)."""

    title: ClassVar[str] = "Captions"
    auto_option: ClassVar[str] = "generate_captions"

    generate_captions: bool | Literal["auto"] = option("auto")
    """Whether windows get captions; auto: where the model's weights or an endpoint are present."""
    captioning_prompt_variant: PromptVariant = option("default")
    """Which prompt the model gets."""
    captioning_prompt_text: str | None = option(None)
    """Prompt of your own in place of the variant's; {width}, {duration_s}, ... are filled in."""
    captioning_prompt_file: str | None = option(None)
    """Text file with a prompt of your own, or the name of one that is ready to use: camera, clean,
    driving, first-frame-then-action, manipulation, motion, traffic, two-paragraphs; excludes
    captioning_prompt_text."""
    captioning_stage2: bool = option(False)
    """Whether the model betters its own caption in a second pass; any engine, twice the cost."""
    captioning_stage2_prompt_text: str | None = option(None)
    """Prompt of the second pass in place of the built-in one; {caption} stands for the first."""
    captioning_json_schema: str | None = option(None)
    """File with a JSON Schema: captions are JSON that fits it."""
    captioning_json_retries: int = option(2, ge=0)
    """How often an answer that does not fit captioning_json_schema is asked for again."""
    captioning_language: CaptionLanguage | None = option(None)
    """Language of which captions are to be: others are flagged by their letters, so English is told
    from Chinese, not from French; null: not checked."""
    caption_quality_flags_enabled: bool = option(True)
    """Whether each caption is checked for what is odd about it."""
    caption_quality_stats_enabled: bool = option(True)
    """Whether caption_quality_stats.json is written."""
    captioning_sampling_fps: float = option(2.0, unit="frames per second", gt=0)
    """Rate at which the model sees a window's frames; a served model takes the window's video and
    samples by itself."""
    captioning_max_output_tokens: int = option(8192, unit="tokens")
    """Longest caption; negative: no limit."""
    api_caption_batch_size: int = option(8, unit="requests", ge=1)
    """Requests to an API in flight at once."""
    gemini_model_name: str = option("models/gemini-2.5-pro")
    """Model of the Gemini API."""
    gemini_caption_retries: int = option(3, ge=0)
    """How often a failed request is repeated."""
    gemini_retry_delay_seconds: float = option(1.0, unit="seconds", ge=0)
    """Pause before a repeated request."""
    gemini_max_inline_mb: float = option(20.0, unit="MiB", gt=0)
    """Largest window that is sent inside a request."""
    openai_model_name: str = option("auto")
    """Model at an OpenAI-compatible endpoint; auto: the only one it serves."""
    openai_caption_retries: int = option(3, ge=0)
    """How often a failed request is repeated."""
    openai_retry_delay_seconds: float = option(1.0, unit="seconds", ge=0)
    """Pause before a repeated request; doubled each time, unless the server names another."""


class LocalCaptionModels(Section):
    """Options of caption models that run in the worker (contract §1.1 Captioning)."""

    title: ClassVar[str] = "Captions by local models"

    captioning_engine: Literal["auto", "vllm", "transformers"] = option("auto")
    """What runs a local model; auto: vLLM where it is installed and a GPU is there, else
    transformers."""
    captioning_model: str | None = option(None)
    """Hub id or local folder of an image- or video-text model in place of the algorithm's."""
    captioning_model_revision: str | None = option(None)
    """Commit or branch of the model on the hub; null: the catalogue's."""
    captioning_device: Literal["auto", "cpu", "cuda"] = option("auto")
    """Where the model runs; auto: on a GPU if there is one."""
    qwen_batch_size: int = option(8, unit="windows", ge=1)
    """Windows given to the model at once; vLLM takes as many as its memory holds."""
    qwen_use_fp8_weights: bool = option(False)
    """Whether the weights are used in 8 bits; needs vLLM."""
    qwen_use_vllm_mmcache: bool = option(False)
    """Whether vLLM keeps preprocessed frames."""
    qwen_stage2_caption: bool = option(False)
    """Whether the model refines its own caption in a second pass."""
    qwen_stage2_prompt_text: str | None = option(None)
    """Prompt of the second pass in place of the built-in one."""
    nemotron_stage2_caption: bool = option(False)
    """Whether nemotron refines its own caption in a second pass."""
    qwen_preprocess_dtype: Literal["float32", "float16", "bfloat16", "uint8"] = option("float16")
    """Number type of preprocessed frames; of no effect: frames stay bytes up to the model's own
    processor."""
    qwen_model_does_preprocess: bool = option(False)
    """Whether the model's own processor resizes frames that have a size it could take as it is."""
    vllm_performance_mode: Literal["balanced", "interactivity", "throughput"] = option("throughput")
    """What vLLM is tuned for."""
    vllm_use_inflight_batching: bool = option(True)
    """Whether new windows join a running batch; of no effect: vLLM always does,
    transformers never does."""
    vllm_max_retries: int = option(3, ge=0)
    """How often vLLM tries a failed window again; transformers would only fail the same way."""
    vllm_sampling_temperature: float = option(0.1, ge=0)
    """Sampling temperature; 0: always the likeliest token."""
    vllm_sampling_top_p: float = option(0.001, ge=0, le=1)
    """Nucleus sampling."""
    vllm_sampling_top_k: int = option(0)
    """Sampling among so many tokens; 0: all."""
    vllm_sampling_repetition_penalty: float = option(1.05)
    """Penalty of repeated tokens."""
    vllm_sampling_presence_penalty: float = option(0.0)
    """Penalty of tokens that occurred."""
    vllm_sampling_frequency_penalty: float = option(0.0)
    """Penalty of tokens by how often they occurred."""
    vllm_sampling_min_p: float = option(0.0, ge=0, le=1)
    """Smallest probability of a token relative to the likeliest."""
    vllm_sampling_min_tokens: int = option(16, unit="tokens", ge=0)
    """Shortest caption."""
    debug_save_vllm_frames: bool = option(False)
    """Whether the frames that the model saw are written as PNG; not built: nothing is written."""
    qwen_use_async_engine: bool = ignored(False, instead="captioning_algorithm=vllm_async")
    """Obsolete upstream."""
    qwen_num_gpus_per_worker: int = ignored(1, instead=_ONE_MODEL)
    """Upstream's GPUs of one model."""
    vllm_prepare_num_cpus_per_worker: float = ignored(3.0, instead=_WORKERS)
    """Upstream's processor share of a Ray worker."""
    copy_weights_to: str | None = ignored(
        None, instead="HF_HOME on a fast local disk, or the worker image"
    )
    """Upstream's local copy of model weights."""


class CaptionEnhancement(Section):
    """Options of rewriting captions by a language model (contract §1.1 Captioning)."""

    title: ClassVar[str] = "Caption enhancement"

    enhance_captions: bool = option(False)
    """Whether a language model rewrites the captions."""
    enhance_captions_lm_variant: Literal["qwen_lm", "gpt_oss_20b", "openai"] = option("qwen_lm")
    """Which model rewrites."""
    enhance_captions_model: str | None = option(None)
    """Hub id or local folder of a text model in place of the one that qwen_lm or gpt_oss_20b
    means."""
    enhance_captions_openai_model: str = option("auto")
    """Model at an OpenAI-compatible endpoint; auto: the only one it serves."""
    enhance_captions_prompt_variant: PromptVariant = option("default")
    """Which prompt the model gets."""
    enhance_captions_prompt_text: str | None = option(None)
    """Prompt of your own in place of the variant's; {caption} stands for the caption."""
    enhance_captions_max_output_tokens: int = option(2048, unit="tokens")
    """Longest rewritten caption; negative: no limit."""
    enhance_captions_batch_size: int = option(32, unit="captions", ge=1)
    """Captions given to the model, or to the endpoint, at once."""
    qwen_lm_use_fp8_weights: bool = option(False)
    """Whether the weights are used in 8 bits."""

    def not_built(self) -> str | None:
        """Return what was asked for that cannot run yet."""
        if self.enhance_captions and self.qwen_lm_use_fp8_weights:
            return (
                "qwen_lm_use_fp8_weights=true is not built yet; leave it out, or name a repository "
                "with such weights with enhance_captions_model"
            )
        return None
