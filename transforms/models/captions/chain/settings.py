"""What works on top of the engine that captions; plain values, no packages imported."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from transforms.models.captions.settings import OpenAISettings, Structure, TextModelSettings
from transforms.models.captions.shared_engine import SharedEngine

if TYPE_CHECKING:
    from transforms.models.captions.engine import CaptionEngine


@dataclass(frozen=True, slots=True)
class EnhanceSettings:
    """Captions rewritten by a text model."""

    lm: Literal["qwen_lm", "gpt_oss_20b", "openai"]
    """Upstream's name of the model: part of the field's name."""
    prompt: str
    """With placeholders, one of them ``{caption}``."""
    model: OpenAISettings | TextModelSettings

    def load(self) -> CaptionEngine:
        """Load the text model; only here its packages are imported.

        Raises:
            PreflightError: Access, weights or packages are missing.
        """
        if isinstance(self.model, OpenAISettings):
            from transforms.models.api_access import openai_access  # noqa: PLC0415
            from transforms.models.captions.openai_engine import OpenAIEngine  # noqa: PLC0415

            return OpenAIEngine(self.model, openai_access("enhance"))
        load = functools.partial(_text_engine, self.model)
        return SharedEngine(self.model, load, slots=self.model.slots, role="text")


@dataclass(frozen=True, slots=True)
class ChainSettings:
    """Everything on top of the engine; nothing by default."""

    structure: Structure | None = None
    second_pass_prompt: str | None = None
    """With placeholders, one of them ``{caption}``; None: there is one pass."""
    enhance: EnhanceSettings | None = None

    @property
    def slots(self) -> int:
        """Requests that are worked on beside those of the engine itself."""
        return self.enhance.model.slots if self.enhance else 0

    def definition(self) -> dict[str, Any]:
        """Return what decides the captions: nothing of what is off, so that captions made before
        it was there stay."""
        parts: dict[str, Any] = {
            "structure": self.structure and [self.structure.schema, self.structure.retries],
            "second_pass": self.second_pass_prompt,
            "enhance": self.enhance
            and {
                "lm": self.enhance.lm,
                "prompt": self.enhance.prompt,
                **self.enhance.model.definition(),
            },
        }
        return {name: part for name, part in parts.items() if part}

    def around(self, engine: CaptionEngine) -> CaptionEngine:
        """Return the engine with all of it on top.

        Raises:
            PreflightError: What rewrites the captions is not there.
        """
        from transforms.models.captions.chain import (  # noqa: PLC0415 - they need packages
            enhancement,
            second_pass,
            structured,
        )

        if self.structure is not None:
            # Both passes give JSON: should the second fail, the first still fits.
            engine = structured.StructuredEngine(engine, self.structure)
        if self.second_pass_prompt is not None:
            engine = second_pass.SecondPassEngine(engine, self.second_pass_prompt)
        if self.enhance is not None:
            engine = enhancement.EnhancingEngine(engine, self.enhance.load(), self.enhance.prompt)
        return engine


def _text_engine(settings: TextModelSettings) -> CaptionEngine:
    from transforms.models.captions.text_engine import TextEngine  # noqa: PLC0415

    return TextEngine(settings)


NO_CHAIN = ChainSettings()
"""The engine alone."""
