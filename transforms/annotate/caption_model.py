"""Which model's captions are meant: the one option that split and shard share."""

from __future__ import annotations

from typing import ClassVar, Literal

from transforms.section import Section, option


class CaptionModel(Section):
    """The caption model."""

    title: ClassVar[str] = "Caption model"

    captioning_algorithm: Literal[
        "cosmos3_nano",
        "cosmos3_super",
        "cosmos_r1",
        "cosmos_r2",
        "gemini",
        "nemotron",
        "openai",
        "qwen",
        "qwen3_5_27b",
        "qwen3_6_27b",
        "qwen3_6_27b_fp8",
        "qwen3_vl_235b",
        "qwen3_vl_235b_fp8",
        "qwen3_vl_30b",
        "qwen3_vl_30b_fp8",
        "vllm_async",
    ] = option("qwen")
    """Which model captions; ``shard`` reads the field {captioning_algorithm}_caption, and where
    this is not given, that of the captions which are there."""
