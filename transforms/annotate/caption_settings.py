"""What captioning needs in a worker: the engine to load and what it is asked. Holds no key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from transforms.errors import PreflightError
from transforms.models.captions.settings import EngineSettings, OpenAISettings

if TYPE_CHECKING:
    from transforms.models.captions.engine import CaptionEngine


@dataclass(frozen=True)
class EngineSpec:
    """Which engine a worker loads."""

    kind: str
    """``openai``."""
    settings: EngineSettings
    """Of that engine's own class."""

    @property
    def sees(self) -> Literal["mp4", "frames"]:
        """What its requests carry: the window's video, or frames sampled during the look."""
        return "mp4"

    def load(self) -> CaptionEngine:
        """Load the engine; only here its packages are imported.

        Raises:
            PreflightError: Access, weights or packages are missing.
        """
        if self.kind != "openai":
            raise PreflightError(f"there is no engine {self.kind!r} for captions")
        from transforms.models.api_access import openai_access  # noqa: PLC0415
        from transforms.models.captions.openai_engine import OpenAIEngine  # noqa: PLC0415

        assert isinstance(self.settings, OpenAISettings)
        return OpenAIEngine(self.settings, openai_access("caption"))


@dataclass(frozen=True)
class CaptionSettings:
    """What the caption stage does."""

    engine: EngineSpec
    prompt: str
    """With placeholders."""

    @property
    def slots(self) -> int:
        """Requests that the engine works on at the same time."""
        return self.engine.settings.slots
