"""Errors of requests."""


class VLLMError(Exception):
    """Base of vLLM's errors."""


class VLLMValidationError(VLLMError):
    """The request cannot be taken."""
