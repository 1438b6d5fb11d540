"""What every embedding model does: frames in, one vector per clip out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from transforms.errors import CurateError

Frames = NDArray[np.uint8]
"""RGB, shape (n, height, width, 3)."""
Vector = NDArray[Any]
"""float32 or float16, shape (1, D) or (D,), as the algorithm has it."""


class EmbeddingError(CurateError):
    """A model can make nothing of a clip; the clip stays, without an embedding.

    Args:
        reason: Short cause, for programs.
        message: For people; holds no secret.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Embedder(Protocol):
    """A loaded model; one per process, used by one thread at a time."""

    device: str
    """``cpu``, ``cuda`` or ``served``: what computes."""

    def embed(self, clips: Sequence[Frames]) -> list[Vector | EmbeddingError]:
        """Return one vector per clip, in order, or why it has none."""
        ...


def each_alone(
    clips: Sequence[Frames], embed_one: Callable[[Frames], Vector]
) -> list[Vector | EmbeddingError]:
    """Return what ``embed_one`` gives or raises for each clip."""
    return [_attempt(frames, embed_one) for frames in clips]


def _attempt(frames: Frames, embed_one: Callable[[Frames], Vector]) -> Vector | EmbeddingError:
    try:
        return embed_one(frames)
    except EmbeddingError as error:
        return error


def every_nth(frames: Frames, count: int) -> Frames:
    """Return ``count`` frames, each ``n // count``-th from the first (contract §1.12).

    Raises:
        EmbeddingError: ``too_few_frames``.

    Example:
        >>> every_nth(np.arange(11).reshape(11, 1, 1, 1), 4).ravel().tolist()
        [0, 2, 4, 6]
    """
    if len(frames) < count:
        raise EmbeddingError(
            "too_few_frames", f"the model needs {count} frames, the clip gave {len(frames)}"
        )
    step = len(frames) // count
    return frames[::step][:count]


def normalised(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return vectors of length 1 along the last axis.

    Raises:
        EmbeddingError: ``not_finite``: one has no direction.
    """
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    if not (np.isfinite(lengths).all() and (lengths > 0).all()):
        raise EmbeddingError("not_finite", "the model gave a vector without a direction")
    return (vectors / lengths).astype(np.float32)
