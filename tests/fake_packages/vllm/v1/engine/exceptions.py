"""Errors of the engine."""

from vllm.exceptions import VLLMError


class EngineGenerateError(VLLMError):
    """A request failed, perhaps by chance."""


class EngineDeadError(VLLMError):
    """The engine's process is gone."""
