"""InternVideo2 stage 2: loaded by the code that lies with its weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from transforms.models.embeddings.embedder import Frames, Vector, every_nth, normalised
from transforms.models.embeddings.local_embedder import LocalEmbedder
from transforms.models.embeddings.remote_model import load_remote
from transforms.models.embeddings.torch_device import clip_errors

NUM_FRAMES, SIDE = 4, 224
MEAN = np.array([0.485, 0.456, 0.406], np.float32)
STD = np.array([0.229, 0.224, 0.225], np.float32)
"""ImageNet's, per channel of pixels in [0, 1]."""
_NEEDED = (
    "an InternVideo2 stage 2 model with its code as transformers loads it (config.json with "
    "auto_map, weights, and the code of InternVideo2/multi_modality)"
)


class InternVideo2(LocalEmbedder):
    """Four frames of 224 x 224 to one vector: float32, shape (1, 512), of length 1.

    Args:
        folder: Weights with the code that runs them.
        device: ``cpu`` (in float32) or ``cuda`` (in bfloat16, as upstream).
        trust_remote_code: Whether that code may run.

    Raises:
        PreflightError: It may not, or the folder holds no such model.
    """

    def __init__(self, folder: Path, *, device: str, trust_remote_code: bool) -> None:
        loaded = load_remote(
            folder, device, trust_remote_code, method="get_vid_feat", needed=_NEEDED
        )
        self._model, self.device, self._dtype = loaded.model, device, loaded.dtype

    def _embed_all(self, clips: Sequence[Frames]) -> Vector:
        import torch  # noqa: PLC0415 - an extra

        with clip_errors(self.device), torch.inference_mode():
            pixels = np.concatenate([model_input(frames) for frames in clips])
            tensor = torch.from_numpy(pixels).to(self.device, dtype=self._dtype)
            vector = self._model.get_vid_feat(tensor)
            found = vector.float().cpu().numpy().reshape(len(clips), -1)
        return normalised(found)


def model_input(frames: Frames) -> NDArray[np.float32]:
    """Return what the model takes: every (n // 4)-th frame, shape (1, 4, 3, height, width).

    Raises:
        EmbeddingError: There are fewer than four.
    """
    chosen = every_nth(frames, NUM_FRAMES).astype(np.float32) / 255
    scaled = (chosen - MEAN) / STD
    return np.ascontiguousarray(np.transpose(scaled[None], (0, 1, 4, 2, 3)), np.float32)
