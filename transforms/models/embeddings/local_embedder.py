"""What embedding models in the worker's own process have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from transforms.models.embeddings.embedder import EmbeddingError, Frames, Vector, each_alone


class LocalEmbedder(ABC):
    """Clips go to a processor one by one and to a GPU all at once."""

    device: str
    """``cpu`` or ``cuda``."""

    def embed(self, clips: Sequence[Frames]) -> list[Vector | EmbeddingError]:
        """Return one vector per clip, in order, or why it has none.

        On a processor clips always go alone: what else is in a batch would change the last bits. A
        GPU is idle most of the time with one clip at a time.
        """
        if self.device == "cpu":
            return self._each_alone(clips)
        try:
            vectors = self._embed_all(clips)
        except EmbeddingError:
            # One of them is to blame: which one is found out one by one.
            return self._each_alone(clips)
        return [vectors[row : row + 1] for row in range(len(clips))]

    def _each_alone(self, clips: Sequence[Frames]) -> list[Vector | EmbeddingError]:
        return each_alone(clips, lambda frames: self._embed_all([frames]))

    @abstractmethod
    def _embed_all(self, clips: Sequence[Frames]) -> Vector:
        """Return one row per clip.

        Raises:
            EmbeddingError: The model can make nothing of one of them.
        """
