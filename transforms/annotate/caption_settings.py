"""What captioning needs in a worker: the engine to load and what it is asked. Holds no key."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from transforms.errors import PreflightError
from transforms.models.captions.chain.settings import NO_CHAIN, ChainSettings
from transforms.models.captions.gemini_settings import GeminiSettings
from transforms.models.captions.settings import (
    EngineSettings,
    OpenAISettings,
    TransformersSettings,
)
from transforms.models.captions.shared_engine import SharedEngine
from transforms.models.captions.vllm_settings import VllmSettings

if TYPE_CHECKING:
    from transforms.models.captions.engine import CaptionEngine


@dataclass(frozen=True)
class EngineSpec:
    """Which engine a worker loads."""

    kind: str
    """``openai``, ``gemini``, ``vllm`` or ``transformers``."""
    settings: EngineSettings
    """Of that engine's own class."""

    @property
    def sees(self) -> Literal["mp4", "frames"]:
        """What its requests carry: the window's video, or frames sampled during the look."""
        sees_frames = isinstance(self.settings, (TransformersSettings, VllmSettings))
        return "frames" if sees_frames else "mp4"

    def load(self) -> CaptionEngine:
        """Load the engine; only here its packages are imported.

        Raises:
            PreflightError: Access, weights or packages are missing.
        """
        settings = self.settings
        if isinstance(settings, TransformersSettings):
            return SharedEngine(
                settings, functools.partial(_transformers, settings), slots=settings.slots
            )
        if isinstance(settings, VllmSettings):
            return SharedEngine(settings, functools.partial(_vllm, settings), slots=settings.slots)
        if isinstance(settings, GeminiSettings):
            return _gemini(settings)
        if isinstance(settings, OpenAISettings):
            return _openai(settings)
        raise PreflightError(f"there is no engine {self.kind!r} for captions")


@dataclass(frozen=True)
class CaptionSettings:
    """What the caption stage does."""

    engine: EngineSpec
    prompt: str
    """With placeholders."""
    sampling_fps: float = 2.0
    """Frames per second of a window that an engine sees which sees frames."""

    chain: ChainSettings = NO_CHAIN
    """What works on top of the engine."""

    @property
    def frames_fps(self) -> float | None:
        """Frames per second that the look keeps of each window; None: none."""
        return self.sampling_fps if self.engine.sees == "frames" else None

    @property
    def slots(self) -> int:
        """Requests that are worked on at the same time."""
        return self.engine.settings.slots + self.chain.slots

    def load(self) -> CaptionEngine:
        """Load the engine with all that works on top of it.

        Raises:
            PreflightError: Access, weights or packages are missing.
        """
        return self.chain.around(self.engine.load())


def _transformers(settings: TransformersSettings) -> CaptionEngine:
    from transforms.models.captions.transformers_engine import TransformersEngine  # noqa: PLC0415

    return TransformersEngine(settings)


def _vllm(settings: VllmSettings) -> CaptionEngine:
    from transforms.models.captions.vllm_engine import VllmEngine  # noqa: PLC0415

    return VllmEngine(settings)


def _gemini(settings: GeminiSettings) -> CaptionEngine:
    from transforms.models.api_access import gemini_access  # noqa: PLC0415
    from transforms.models.captions.gemini_engine import GeminiEngine  # noqa: PLC0415

    return GeminiEngine(settings, gemini_access())


def _openai(settings: OpenAISettings) -> CaptionEngine:
    from transforms.models.api_access import openai_access  # noqa: PLC0415
    from transforms.models.captions.openai_engine import OpenAIEngine  # noqa: PLC0415

    return OpenAIEngine(settings, openai_access("caption"))
