"""Describe what tracked objects do: the options; the stage itself is not built."""

from __future__ import annotations

from typing import ClassVar, Literal

from transforms.section import Section, option


class EventCaptions(Section):
    """Options of event captions (contract §1.1)."""

    title: ClassVar[str] = "Event captions"
    built: ClassVar[bool] = False
    aliases: ClassVar[dict[str, str]] = {"event_captioning": "enable_event_captioning"}

    enable_event_captioning: bool = option(False)
    """Whether events are described; needs enable_sam3."""
    event_caption_prompt: str | None = option(None)
    """Prompt of your own; excludes event_caption_prompt_file."""
    event_caption_prompt_file: str | None = option(None)
    """Text file with a prompt of your own; excludes event_caption_prompt."""
    event_caption_backend: Literal["qwen", "gemini"] = option("qwen")
    """Which kind of model describes."""
    event_caption_qwen_variant: Literal["qwen", "qwen3_vl_30b", "qwen3_vl_30b_fp8"] = option("qwen")
    """Which local model describes."""
    event_caption_qwen_sampling_fps: float = option(2.0, unit="frames per second", gt=0)
    """Rate at which the local model sees frames."""
    event_caption_qwen_fp8: bool = option(False)
    """Whether the local model's weights are used in 8 bits."""
    event_caption_qwen_temperature: float | None = option(None)
    """Sampling temperature; null: the model's own."""
    event_caption_qwen_top_p: float | None = option(None)
    """Nucleus sampling; null: the model's own."""
    event_caption_qwen_top_k: int | None = option(None)
    """Sampling among so many tokens; null: the model's own."""
    event_caption_gemini_model_name: str = option("models/gemini-2.5-flash")
    """Model of the Gemini API."""
    event_caption_gemini_fps: float = option(4.0, unit="frames per second", gt=0)
    """Rate at which the Gemini API samples frames."""
    event_caption_gemini_media_resolution: Literal["low", "medium", "high"] = option("high")
    """How finely the Gemini API sees frames."""
    event_caption_gemini_thinking_budget: int = option(-1, unit="tokens")
    """Longest reasoning of the Gemini API; -1: its own choice."""
    event_caption_gemini_max_output_tokens: int = option(16384, unit="tokens")
    """Longest answer of the Gemini API."""

    def not_built(self) -> str | None:
        """Return why events cannot be described."""
        if not self.enable_event_captioning:
            return None
        return (
            "enable_event_captioning=true: event captions are not built; "
            "set enable_event_captioning=false."
        )
