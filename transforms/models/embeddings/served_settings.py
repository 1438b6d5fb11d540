"""Settings of a served embedding model; plain values, read without importing its client."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ServedSettings:
    """What requests look like and how stubbornly they are sent; holds no key."""

    model: str
    """Name at the endpoint."""
    slots: int = 8
    """Requests at the same time."""
    retries: int = 3
    """How often a request that failed is sent again."""
    retry_delay_seconds: float = 1.0
    timeout_seconds: float = 300.0
    """For one attempt."""
