"""Loads models whose code lies in their repository, and only when the user trusts it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transforms.models.embeddings.image_tower import quiet_loading, unfit
from transforms.models.embeddings.model_folder import untrusted
from transforms.models.embeddings.torch_device import settle_threads

_LOAD_ERRORS = (OSError, ValueError, KeyError, ImportError, RuntimeError, AttributeError, TypeError)
"""What code of others raises when its files are not what it expects."""


@dataclass(frozen=True)
class RemoteModel:
    """A model that was loaded by its own code."""

    model: Any
    dtype: Any
    folder: Path
    needed: str

    def processor(self) -> Any:
        """Load what prepares its input, by its own code too.

        Raises:
            PreflightError: There is none.
        """
        import transformers  # noqa: PLC0415 - an extra

        try:
            with quiet_loading():
                return transformers.AutoProcessor.from_pretrained(
                    self.folder, local_files_only=True, trust_remote_code=True
                )
        except _LOAD_ERRORS as error:
            raise unfit(self.folder, error, self.needed) from error


def load_remote(
    folder: Path, device: str, trust_remote_code: bool, *, method: str, needed: str
) -> RemoteModel:
    """Return the model of a folder, ready to infer; the hub is not asked.

    Args:
        folder: Configuration, weights and code.
        device: ``cpu`` or ``cuda``.
        trust_remote_code: Whether the code in the folder may run.
        method: What the model must have.
        needed: What should be there, for messages.

    Raises:
        PreflightError: The code may not run, or the folder holds no such model.
    """
    if not trust_remote_code:
        raise untrusted(folder)
    import torch  # noqa: PLC0415 - an extra
    import transformers  # noqa: PLC0415

    settle_threads(device)
    try:
        with quiet_loading():
            model = transformers.AutoModel.from_pretrained(
                folder, local_files_only=True, trust_remote_code=True
            )
    except _LOAD_ERRORS as error:
        raise unfit(folder, error, needed) from error
    if not hasattr(model, method):
        raise unfit(folder, ValueError(f"{type(model).__name__} has no {method}"), needed)
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    return RemoteModel(model.to(device=device, dtype=dtype).eval(), dtype, folder, needed)
