"""Settings of caption engines; plain values, read without importing the engines' packages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol


class EngineSettings(Protocol):
    """What every engine's settings tell."""

    @property
    def slots(self) -> int:
        """Requests that the engine works on at the same time."""
        ...

    @property
    def found(self) -> str:
        """Why ``auto`` takes this engine, a few words."""
        ...

    def definition(self) -> dict[str, Any]:
        """Return what decides the text of a caption, the prompt aside: it is fingerprinted."""
        ...


@dataclass(frozen=True, slots=True)
class OpenAISettings:
    """What requests look like and how stubbornly they are sent; holds no key."""

    model: str
    """Name at the endpoint."""
    max_tokens: int | None
    """Longest caption; None: the server's own limit."""
    slots: int = 8
    """Requests at the same time."""
    retries: int = 3
    """How often a request that failed is sent again."""
    retry_delay_seconds: float = 1.0
    timeout_seconds: float = 300.0
    """For one attempt."""

    @property
    def found(self) -> str:
        """Why ``auto`` takes this engine."""
        return f"{self.model} answers"

    def definition(self) -> dict[str, Any]:
        """Return what decides the text of a caption, the prompt aside."""
        return {"model": self.model, "max_tokens": self.max_tokens}
