"""What captioning needs in a worker: the engine to load and what it is asked. Holds no key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from transforms.errors import PreflightError

if TYPE_CHECKING:
    from transforms.models.captions.engine import CaptionEngine


@dataclass(frozen=True)
class EngineSpec:
    """Which engine a worker loads."""

    kind: str
    """``openai``."""
    settings: Any
    """Of that engine's own class."""

    def load(self) -> CaptionEngine:
        """Load the engine; only here its packages are imported.

        Raises:
            PreflightError: Access, weights or packages are missing.
        """
        if self.kind != "openai":
            raise PreflightError(f"there is no engine {self.kind!r} for captions")
        from transforms.models.api_access import openai_access  # noqa: PLC0415
        from transforms.models.captions.openai_engine import OpenAIEngine  # noqa: PLC0415

        return OpenAIEngine(self.settings, openai_access("caption"))


@dataclass(frozen=True)
class CaptionSettings:
    """What the caption stage does."""

    engine: EngineSpec
    prompt: str
    """With placeholders."""
    slots: int
    """Requests that the engine works on at the same time."""
