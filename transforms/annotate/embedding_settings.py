"""What embedding needs in a worker: the model to load and how it is fed. Holds no key."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from transforms.errors import PreflightError
from transforms.media.look_settings import FrameSettings
from transforms.models.embeddings.algorithms import ALGORITHMS
from transforms.models.embeddings.served_settings import ServedSettings

if TYPE_CHECKING:
    from transforms.models.embeddings.embedder import Embedder


@dataclass(frozen=True)
class EmbedderSpec:
    """Which model a worker loads."""

    algorithm: str
    """A name in ``ALGORITHMS``."""
    model_name: str
    """Of the model, for records: its name on the hub or at the endpoint, or a folder's name."""
    model_version: str
    """Of its weights: a revision of the hub, or a hash of the folder's files."""
    digest: str = ""
    """Hash of the model's files; empty for a served model."""
    folder: str = ""
    """Where the weights lie; empty for a served model."""
    device: str = "auto"
    """``auto``, ``cpu`` or ``cuda``."""
    trust_remote_code: bool = False
    served: ServedSettings | None = None
    """Of a served model."""

    def load(self) -> Embedder:
        """Load the model; only here its packages are imported.

        Raises:
            PreflightError: Access, weights, packages or the device are missing.
        """
        kind = ALGORITHMS[self.algorithm].kind
        if self.served is not None:
            from transforms.models.api_access import openai_access  # noqa: PLC0415
            from transforms.models.embeddings.served import ServedEmbedder  # noqa: PLC0415

            return ServedEmbedder(self.served, openai_access("embedding"))
        folder = Path(self.folder)
        if not folder.is_dir():
            raise PreflightError(
                f"embedding_model={folder}: is not on this machine; every worker needs the model's "
                "folder at the same path"
            )
        return self._load_local(kind, folder)

    def _load_local(self, kind: str, folder: Path) -> Embedder:
        from transforms.models.embeddings.torch_device import chosen_device  # noqa: PLC0415

        device = chosen_device(self.device)
        trust = self.trust_remote_code
        if kind == "internvideo2":
            from transforms.models.embeddings.internvideo2 import InternVideo2  # noqa: PLC0415

            return InternVideo2(folder, device=device, trust_remote_code=trust)
        if kind == "cosmos_embed1":
            from transforms.models.embeddings.cosmos_embed1 import CosmosEmbed1  # noqa: PLC0415

            return CosmosEmbed1(folder, device=device, trust_remote_code=trust)
        from transforms.models.embeddings.image_tower import ImageTower  # noqa: PLC0415

        return ImageTower(folder, device=device, trust_remote_code=trust)


@dataclass(frozen=True)
class EmbeddingSettings:
    """What the embedding stage does."""

    embedder: EmbedderSpec
    batch_size: int
    """Clips given to the model at once."""
    frames: FrameSettings
    """What the look keeps of each clip for it."""
