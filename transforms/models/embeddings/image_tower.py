"""CLIP and SigLIP: every sampled frame through the image tower, their mean for the clip."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from transforms.errors import PreflightError
from transforms.models.embeddings.embedder import Frames, Vector, normalised
from transforms.models.embeddings.local_embedder import LocalEmbedder
from transforms.models.embeddings.torch_device import clip_errors, settle_threads

FRAMES_AT_ONCE = 32
"""Frames in one pass of the tower."""
_TOWERS = {
    "clip": ("CLIPVisionModelWithProjection", "image_embeds"),
    "clip_vision_model": ("CLIPVisionModelWithProjection", "image_embeds"),
    "siglip": ("SiglipVisionModel", "pooler_output"),
    "siglip_vision_model": ("SiglipVisionModel", "pooler_output"),
    "siglip2": ("Siglip2VisionModel", "pooler_output"),
    "siglip2_vision_model": ("Siglip2VisionModel", "pooler_output"),
}
"""Type of a checkpoint to the class of its image tower alone, and where its vectors are."""


class ImageTower(LocalEmbedder):
    """Frame vectors of length 1, their mean, made length 1 again: float32, shape (1, D).

    Args:
        folder: Checkpoint with its processor, as the hub has it; the whole model or its tower.
        device: ``cpu`` or ``cuda``.
        trust_remote_code: Whether code in the folder may run, for towers of other types.

    Raises:
        PreflightError: The folder holds no such model, or one that needs its own code.
    """

    def __init__(self, folder: Path, *, device: str, trust_remote_code: bool = False) -> None:
        settle_threads(device)
        self.device = device
        try:
            with quiet_loading():
                self._load(folder, trust_remote_code=trust_remote_code)
        except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
            raise unfit(folder, error, "a CLIP or SigLIP checkpoint with its processor") from error

    def _load(self, folder: Path, *, trust_remote_code: bool) -> None:
        import transformers  # noqa: PLC0415 - an extra

        options: dict[str, Any] = {
            "local_files_only": True,
            "trust_remote_code": trust_remote_code,
        }
        config = transformers.AutoConfig.from_pretrained(folder, **options)
        self._processor = transformers.AutoImageProcessor.from_pretrained(folder, **options)
        name, self._output = _TOWERS.get(config.model_type, ("", ""))
        if name:
            model = _load_tower(getattr(transformers, name), folder, config)
        else:
            model = transformers.AutoModel.from_pretrained(folder, **options)
            _require_method(model, "get_image_features", folder)
        self._model = model.to(self.device).eval()

    def _embed_all(self, clips: Sequence[Frames]) -> Vector:
        # Copies: what lies in a file may not be written to, and torch insists on that.
        pictures = [np.array(frame) for frames in clips for frame in frames]
        parts = [
            self._frame_vectors(pictures[start : start + FRAMES_AT_ONCE])
            for start in range(0, len(pictures), FRAMES_AT_ONCE)
        ]
        ends = np.cumsum([len(frames) for frames in clips])
        of_clips = np.split(normalised(np.concatenate(parts)), ends[:-1])
        return normalised(np.stack([vectors.mean(axis=0) for vectors in of_clips]))

    def _frame_vectors(self, pictures: list[Frames]) -> NDArray[np.float32]:
        import torch  # noqa: PLC0415

        with clip_errors(self.device), torch.inference_mode():
            inputs = self._processor(images=pictures, return_tensors="pt").to(self.device)
            if self._output:
                vectors = getattr(self._model(**inputs), self._output)
            else:
                vectors = self._model.get_image_features(**inputs)
            found: NDArray[np.float32] = vectors.float().cpu().numpy()
        return found


def _load_tower(model_class: Any, folder: Path, config: Any) -> Any:
    """Return the image tower of a checkpoint, also of a whole model.

    Raises:
        PreflightError: Weights of the tower are missing: it would give arbitrary vectors.
    """
    tower = getattr(config, "vision_config", config)
    if tower is not config and hasattr(config, "projection_dim"):
        tower.projection_dim = config.projection_dim
    model, found = model_class.from_pretrained(
        folder, config=tower, local_files_only=True, output_loading_info=True
    )
    if missing := sorted(found["missing_keys"]):
        raise PreflightError(
            f"embedding_model={folder}: {len(missing)} weights of its image tower are missing "
            f"({missing[0]}, ...); get the model's files again"
        )
    return model


@contextlib.contextmanager
def quiet_loading() -> Iterator[None]:
    """Keep transformers from listing the weights of a whole model that its tower does not use, and
    from drawing bars into a worker's log."""
    from transformers.utils import logging  # noqa: PLC0415

    before, had_bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(before)
        if had_bars:
            logging.enable_progress_bar()


def unfit(folder: Path, error: Exception, what: str) -> PreflightError:
    """Return the error about a folder that a model cannot be loaded from."""
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if "trust_remote_code" in str(error):
        reason = (
            "it is loaded by code in the folder, which runs only with --trust_remote_code: read "
            "that code first"
        )
    return PreflightError(f"embedding_model={folder}: is not {what} ({reason})")


def _require_method(model: Any, name: str, folder: Path) -> None:
    if not hasattr(model, name):
        raise PreflightError(
            f"embedding_model={folder}: {type(model).__name__} has no {name}, so it is none of "
            "the models that embedding_algorithm can load; name a CLIP or SigLIP checkpoint"
        )
