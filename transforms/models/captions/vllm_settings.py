"""Settings of the vLLM engine; plain values, read without importing vLLM."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from transforms.models.captions.settings import LocalModelSettings, Sampling


@dataclass(frozen=True, slots=True)
class VllmSettings(LocalModelSettings):
    """A model that vLLM runs in the worker's own processes."""

    engine_json: str = "{}"
    """Fields of vLLM's ``AsyncEngineArgs`` beside the model, as a JSON object: hashable."""
    sampling: Sampling = field(default_factory=Sampling)
    slots: int = 256
    """Requests in the engine at the same time."""
    retries: int = 3
    """How often a request that failed is begun again."""
    environment: tuple[tuple[str, str], ...] = ()
    """Variables that vLLM's processes see."""
    reasons: bool = False
    """Whether the model thinks aloud first: only the answer behind that is kept."""

    @property
    def engine(self) -> dict[str, Any]:
        """Fields of vLLM's ``AsyncEngineArgs`` beside the model."""
        fields: dict[str, Any] = json.loads(self.engine_json)
        return fields

    @property
    def found(self) -> str:
        """Why ``auto`` takes this engine."""
        return f"{self.model} is here and runs on vLLM"

    def definition(self) -> dict[str, Any]:
        """Return what decides the text of a caption, the prompt aside."""
        engine = self.engine
        return {
            "files": self.digest,
            "max_tokens": self.max_tokens,
            "sampling": asdict(self.sampling),
            "reasons": self.reasons,
            "quantization": engine.get("quantization"),
            "dtype": engine.get("dtype", "auto"),
            "kv_cache_dtype": engine.get("kv_cache_dtype", "auto"),
            "mm_processor_kwargs": engine.get("mm_processor_kwargs", {}),
        }
