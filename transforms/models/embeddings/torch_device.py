"""Where torch computes, and what may go wrong there."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from transforms.errors import PreflightError
from transforms.models.embeddings.embedder import EmbeddingError

_CLIP_ERRORS = (ValueError, TypeError, IndexError)
"""What processors and models raise about frames that they cannot take."""


def chosen_device(wanted: str) -> str:
    """Return ``cpu`` or ``cuda``.

    Args:
        wanted: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        PreflightError: A GPU is asked for, and torch finds none.
    """
    import torch  # noqa: PLC0415 - an extra

    has_gpu = torch.cuda.is_available()
    if wanted == "cuda" and not has_gpu:
        raise PreflightError(
            "embedding_device=cuda: torch finds no GPU on this machine; use embedding_device=cpu "
            "or auto, or install a torch that is built for this machine's GPU"
        )
    if wanted == "auto":
        return "cuda" if has_gpu else "cpu"
    return wanted


def settle_threads(device: str) -> None:
    """Let torch compute with one thread on a processor: its sums then depend on no core count, and
    the cores belong to the children that cut."""
    import torch  # noqa: PLC0415

    if device == "cpu":
        torch.set_num_threads(1)


@contextlib.contextmanager
def clip_errors(device: str) -> Iterator[None]:
    """Turn what a clip may be blamed for into an ``EmbeddingError``.

    Raises:
        EmbeddingError: ``out_of_memory``, or ``model_error``.
    """
    import torch  # noqa: PLC0415

    try:
        yield
    except torch.OutOfMemoryError as error:
        if device == "cuda":
            torch.cuda.empty_cache()
        raise EmbeddingError("out_of_memory", str(error)) from error
    except _CLIP_ERRORS as error:
        raise EmbeddingError("model_error", f"{type(error).__name__}: {error}") from error
