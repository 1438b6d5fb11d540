"""Cosmos-Embed1: loaded by the code of its repository, as its model card shows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from transforms.models.embeddings.embedder import Frames, Vector, every_nth, normalised
from transforms.models.embeddings.local_embedder import LocalEmbedder
from transforms.models.embeddings.remote_model import load_remote
from transforms.models.embeddings.torch_device import clip_errors

DEFAULT_FRAMES = 8
_NEEDED = "a Cosmos-Embed1 checkpoint with its processor"


class CosmosEmbed1(LocalEmbedder):
    """The processor's number of frames to one vector: float16, shape (1, D), of length 1.

    Args:
        folder: Checkpoint with the code of its repository.
        device: ``cpu`` (in float32) or ``cuda`` (in bfloat16, as the model card).
        trust_remote_code: Whether that code may run.

    Raises:
        PreflightError: It may not, or the folder holds no such model.
    """

    def __init__(self, folder: Path, *, device: str, trust_remote_code: bool) -> None:
        loaded = load_remote(
            folder, device, trust_remote_code, method="get_video_embeddings", needed=_NEEDED
        )
        self._model, self._processor = loaded.model, loaded.processor()
        self.device, self._dtype = device, loaded.dtype
        self._num_frames = num_frames_of(self._processor)

    def _embed_all(self, clips: Sequence[Frames]) -> Vector:
        import torch  # noqa: PLC0415 - an extra

        with clip_errors(self.device), torch.inference_mode():
            chosen = np.stack([every_nth(frames, self._num_frames) for frames in clips])
            # Batch, time, channel, height, width.
            batch = np.ascontiguousarray(np.transpose(chosen, (0, 1, 4, 2, 3)))
            inputs = self._processor(videos=batch)
            inputs = inputs.to(self.device, dtype=self._dtype)
            vector = self._model.get_video_embeddings(**inputs).visual_proj
            found = vector.float().cpu().numpy().reshape(len(clips), -1)
        return normalised(found).astype(np.float16)


def num_frames_of(processor: Any) -> int:
    """Return how many frames the processor asks for."""
    asked = getattr(processor, "num_video_frames", None)
    if asked is None:
        asked = getattr(getattr(processor, "video_processor", None), "num_video_frames", None)
    return int(asked or DEFAULT_FRAMES)
