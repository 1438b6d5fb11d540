"""What each embedding algorithm gives and needs (contract §1.12); no model is loaded here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["image_tower", "internvideo2", "cosmos_embed1", "served"]


@dataclass(frozen=True, slots=True)
class Algorithm:
    """One value of ``embedding_algorithm``."""

    stem: str
    """Folder of the vectors; that of the tables is ``{stem}_parquet``."""
    kind: Kind
    """Which code runs it."""
    hub_id: str = ""
    """Repository of its weights."""
    num_frames: int = 1
    """Frames the model is given, fewest; what it is given more is left out or averaged."""
    square: int = 0
    """Side of the pictures that the model takes; 0: as its processor says."""

    @property
    def runs_remote_code(self) -> bool:
        """Whether the model is loaded by code of its repository."""
        return self.kind in ("internvideo2", "cosmos_embed1")


def _cosmos(side: int) -> Algorithm:
    return Algorithm(
        f"ce1_embd_{side}p",
        "cosmos_embed1",
        f"nvidia/Cosmos-Embed1-{side}p",
        num_frames=8,
        square=side,
    )


ALGORITHMS: dict[str, Algorithm] = {
    "internvideo2": Algorithm(
        "iv2_embd",
        "internvideo2",
        "OpenGVLab/InternVideo2-Stage2_1B-224p-f4",
        num_frames=4,
        square=224,
    ),
    **{f"cosmos-embed1-{side}p": _cosmos(side) for side in (224, 336, 448)},
    "openai": Algorithm("openai_embd", "served"),
    "siglip2": Algorithm("siglip2_embd", "image_tower", "google/siglip2-base-patch16-224"),
    "clip": Algorithm("clip_embd", "image_tower", "openai/clip-vit-base-patch32"),
}
"""By the names of the option; the first five are upstream's."""
STEMS = tuple(algorithm.stem for algorithm in ALGORITHMS.values())
EMBEDDING_ERROR = "embedding"
"""What the metadata's ``errors`` say of a clip that should have an embedding and has none."""
