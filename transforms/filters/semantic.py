"""Reject clips by what a vision-language model sees: the options; the stages are not built yet."""

from __future__ import annotations

from typing import ClassVar, Literal

from transforms.section import Section, ignored, option

_SUFFIXES = (
    "batch_size",
    "endpoint",
    "fp8_enable",
    "gemini_model_name",
    "gemini_retries",
    "gemini_retry_delay_seconds",
    "max_output_tokens",
    "model_variant",
    "num_gpus",
    "openai_model_name",
    "openai_retries",
    "openai_retry_delay_seconds",
    "rejection_threshold",
)
_ONE_MODEL = "one model per worker process; the runner's preset places GPUs"


def _renamed(old: str, new: str, *suffixes: str) -> dict[str, str]:
    """Return upstream's older spelling of a family of options -> ours."""
    names = {f"{old}_{suffix}": f"{new}_{suffix}" for suffix in (*_SUFFIXES, *suffixes)}
    return {old: new, **names}


class SemanticFilter(Section):
    """Options of the filter that asks a model questions about a clip (contract §1.11)."""

    title: ClassVar[str] = "Semantic filter"
    built: ClassVar[bool] = False
    aliases: ClassVar[dict[str, str]] = _renamed(
        "qwen_filter", "vlm_filter", "prompt_variant", "categories"
    )

    vlm_filter: Literal["disable", "enable", "score-only"] = option("disable")
    """Whether clips are rejected by the model's answers, or only scored."""
    vlm_filter_prompt_variant: Literal["default"] = option("default")
    """Which questions are asked."""
    vlm_filter_categories: str | None = option(None)
    """Questions of your own, separated by commas; null: those of the prompt variant."""
    vlm_filter_rejection_threshold: float = option(0.5, ge=0, le=1)
    """Share of a clip's windows that must be turned down for the clip to be rejected."""
    vlm_filter_endpoint: Literal["local", "openai", "gemini"] = option("local")
    """Where the model runs."""
    vlm_filter_model_variant: str = option("qwen")
    """Which local model answers."""
    vlm_filter_fp8_enable: bool = option(False)
    """Whether the local model's weights are used in 8 bits."""
    vlm_filter_batch_size: int = option(16, unit="clips", ge=1)
    """Clips given to the model at once."""
    vlm_filter_max_output_tokens: int = option(8192, unit="tokens")
    """Longest answer."""
    vlm_filter_num_gpus: int = ignored(1, instead=_ONE_MODEL)
    """Upstream's GPUs of one model."""
    vlm_filter_openai_model_name: str = option("auto")
    """Model at an OpenAI-compatible endpoint; auto: the only one it serves."""
    vlm_filter_openai_retries: int = option(3, ge=0)
    """How often a failed request is repeated."""
    vlm_filter_openai_retry_delay_seconds: float = option(1.0, unit="seconds", ge=0)
    """Pause before a repeated request."""
    vlm_filter_gemini_model_name: str = option("models/gemini-2.5-pro")
    """Model of the Gemini API."""
    vlm_filter_gemini_retries: int = option(3, ge=0)
    """How often a failed request is repeated."""
    vlm_filter_gemini_retry_delay_seconds: float = option(1.0, unit="seconds", ge=0)
    """Pause before a repeated request."""

    def not_built(self) -> str | None:
        """Return why the filter cannot run yet."""
        if self.vlm_filter == "disable":
            return None
        return (
            f"vlm_filter={self.vlm_filter}: the semantic filter is not built yet; "
            "set vlm_filter=disable."
        )


class VideoClassifier(Section):
    """Options of the filter that sorts clips into types of video (contract §1.11)."""

    title: ClassVar[str] = "Video classifier"
    built: ClassVar[bool] = False
    aliases: ClassVar[dict[str, str]] = _renamed(
        "qwen_video_classifier",
        "video_classifier",
        "use_custom_categories",
        "allow",
        "allow_file",
        "block",
        "block_file",
    )

    video_classifier: Literal["disable", "enable"] = option("disable")
    """Whether clips are rejected by their type."""
    video_classifier_use_custom_categories: bool = option(False)
    """Whether the types are those of the allow and block lists, not the built-in ones."""
    video_classifier_allow: tuple[str, ...] | None = option(None)
    """Types that are kept; may be given several times."""
    video_classifier_block: tuple[str, ...] | None = option(None)
    """Types that are rejected; may be given several times."""
    video_classifier_allow_file: str | None = option(None)
    """Text file with one kept type per line."""
    video_classifier_block_file: str | None = option(None)
    """Text file with one rejected type per line."""
    video_classifier_rejection_threshold: float = option(0.5, ge=0, le=1)
    """Share of a clip's windows that must be turned down for the clip to be rejected."""
    video_classifier_endpoint: Literal["local", "openai", "gemini"] = option("local")
    """Where the model runs."""
    video_classifier_model_variant: str = option("qwen")
    """Which local model answers."""
    video_classifier_fp8_enable: bool = option(False)
    """Whether the local model's weights are used in 8 bits."""
    video_classifier_batch_size: int = option(16, unit="clips", ge=1)
    """Clips given to the model at once."""
    video_classifier_max_output_tokens: int = option(8192, unit="tokens")
    """Longest answer."""
    video_classifier_num_gpus: int = ignored(1, instead=_ONE_MODEL)
    """Upstream's GPUs of one model."""
    video_classifier_openai_model_name: str = option("auto")
    """Model at an OpenAI-compatible endpoint; auto: the only one it serves."""
    video_classifier_openai_retries: int = option(3, ge=0)
    """How often a failed request is repeated."""
    video_classifier_openai_retry_delay_seconds: float = option(1.0, unit="seconds", ge=0)
    """Pause before a repeated request."""
    video_classifier_gemini_model_name: str = option("models/gemini-2.5-pro")
    """Model of the Gemini API."""
    video_classifier_gemini_retries: int = option(3, ge=0)
    """How often a failed request is repeated."""
    video_classifier_gemini_retry_delay_seconds: float = option(1.0, unit="seconds", ge=0)
    """Pause before a repeated request."""

    def not_built(self) -> str | None:
        """Return why the classifier cannot run yet."""
        if self.video_classifier == "disable":
            return None
        return (
            "video_classifier=enable: the video classifier is not built yet; "
            "set video_classifier=disable."
        )
