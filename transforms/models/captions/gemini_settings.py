"""Settings of the Gemini engine; plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class GeminiSettings:
    """What requests to the Gemini API look like and how stubbornly they are sent; holds no key."""

    model: str
    """With its folder, for example ``models/gemini-2.5-pro``."""
    max_tokens: int | None
    """Longest answer, thoughts included; None: the model's own limit."""
    max_inline_bytes: int
    """Larger windows are uploaded first."""
    slots: int = 8
    """Requests at the same time."""
    retries: int = 3
    """How often a request that failed is sent again."""
    retry_delay_seconds: float = 1.0
    timeout_seconds: float = 300.0
    """For one request without a sign of life, and until an uploaded window can be asked about."""

    @property
    def found(self) -> str:
        """Why ``auto`` takes this engine."""
        return f"{self.model} answers"

    def definition(self) -> dict[str, Any]:
        """Return what decides the text of a caption, the prompt aside."""
        return {"model": self.model, "max_tokens": self.max_tokens}
