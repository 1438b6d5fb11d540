"""Settings of caption engines; plain values, read without importing the engines' packages."""

from __future__ import annotations

from dataclasses import dataclass


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
