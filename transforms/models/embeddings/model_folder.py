"""What the files of an embedding model say before it is loaded."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transforms.errors import PreflightError
from transforms.media.look_settings import FrameSettings
from transforms.models.embeddings.algorithms import ALGORITHMS, Algorithm

TOWER_TYPES = {
    "clip": ("clip", "clip_vision_model"),
    "siglip2": ("siglip", "siglip_vision_model", "siglip2", "siglip2_vision_model"),
}
"""Algorithm to ``model_type`` of the checkpoints that it can load; SigLIP 2's fixed sizes call
themselves ``siglip``."""
DEFAULT_SHORT_SIDE = 512
"""Where a processor does not say how large its pictures are."""
_PROCESSORS = (
    "processor_config.json",
    "preprocessor_config.json",
    "video_preprocessor_config.json",
)
_DIGESTED = ("*.json", "*.safetensors", "*.bin", "*.pt", "*.pth", "*.py")
_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True)
class ModelFolder:
    """A folder with the files of one model."""

    path: Path

    def check(self, name: str, *, trust_remote_code: bool) -> None:
        """Check that the folder may hold a model of an algorithm.

        Raises:
            PreflightError: It holds another one, or one whose code may not run.
        """
        config = self._read("config.json")
        has_code = "auto_map" in config
        if ALGORITHMS[name].runs_remote_code:
            if not has_code:
                raise PreflightError(
                    f"embedding_algorithm={name}: {self.path} holds no config.json with auto_map "
                    "and code that transformers can load; put the model's code beside its weights "
                    "(docs/embeddings.md), or use --embedding_algorithm siglip2 or clip"
                )
            return
        kind = str(config.get("model_type"))
        if kind in TOWER_TYPES[name] or (has_code and trust_remote_code):
            return
        if has_code:
            raise untrusted(self.path)
        raise PreflightError(
            f"embedding_algorithm={name} needs a checkpoint of {' or '.join(TOWER_TYPES[name])}, "
            f"{self.path} holds one of {kind}; name another folder or hub id with "
            "--embedding_model, or another algorithm"
        )

    def frames(self, algorithm: Algorithm, *, target: int) -> FrameSettings:
        """Return which frames the model needs.

        Args:
            algorithm: What runs it.
            target: Side of a square that the user asks for; 0 or less: none.
        """
        if algorithm.kind == "internvideo2":
            return FrameSettings(min_frames=algorithm.num_frames, square=algorithm.square)
        if algorithm.kind == "cosmos_embed1":
            asked = int(self._processor_value("num_video_frames") or algorithm.num_frames)
            return FrameSettings(min_frames=asked, square=max(target, 0) or algorithm.square)
        if target > 0:
            return FrameSettings(square=target)
        size = self._processor_value("size")
        sides = [value for value in size.values() if isinstance(value, int)] if size else []
        return FrameSettings(short_side=max(sides, default=0) or DEFAULT_SHORT_SIDE)

    def digest(self) -> str:
        """Return a hash of the model's files: names, sizes, first and last MiB."""
        digest = hashlib.sha256()
        paths = {path for pattern in _DIGESTED for path in self.path.glob(pattern)}
        for path in sorted(path for path in paths if path.is_file()):
            num_bytes = path.stat().st_size
            digest.update(f"{path.name} {num_bytes}\n".encode())
            with path.open("rb") as file:
                digest.update(file.read(_BLOCK_BYTES))
                file.seek(max(0, num_bytes - _BLOCK_BYTES))
                digest.update(file.read(_BLOCK_BYTES))
        return digest.hexdigest()[:16]

    def _processor_value(self, name: str) -> Any:
        """Return what a processor's file says, wherever transformers' versions put it."""
        for file in _PROCESSORS:
            content = self._read(file)
            for part in (content, content.get("image_processor"), content.get("video_processor")):
                if isinstance(part, dict) and part.get(name):
                    return part[name]
        return None

    def _read(self, name: str) -> dict[str, Any]:
        path = self.path / name
        if not path.is_file():
            return {}
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (UnicodeDecodeError, ValueError) as error:
            raise PreflightError(
                f"{path}: cannot be read as JSON ({error}); get the model's files again"
            ) from error
        return content if isinstance(content, dict) else {}


def untrusted(name: Path | str) -> PreflightError:
    """Return the error about code that nobody said may run."""
    return PreflightError(
        f"embedding_model={name}: this model is loaded by code of its own repository, which runs "
        "with your rights: read that code, then give --trust_remote_code; or use "
        "--embedding_algorithm siglip2 or clip, which need none"
    )
