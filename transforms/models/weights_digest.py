"""Which model a folder holds: a short digest of its files, whatever the folder is called."""

from __future__ import annotations

import fnmatch
import hashlib
from pathlib import Path

_PATTERNS = (
    *("config.json", "generation_config.json", "*preprocessor_config.json"),
    *("processor_config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.*"),
    *("*.safetensors", "*.bin", "*.py"),
)
_WHOLE_BYTES = 1 << 20
_END_BYTES = 1 << 16


def weights_digest(folder: Path) -> str:
    """Return a digest of what decides a model's answers: its weights and how it is asked.

    Of large files the size and both ends count: reading all of them would take minutes, and the
    head of a file of safetensors lists every tensor.
    """
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if any(fnmatch.fnmatch(path.name, pattern) for pattern in _PATTERNS) and path.is_file():
            size = path.stat().st_size
            digest.update(f"{path.name}\0{size}\0".encode())
            with path.open("rb") as file:
                if size <= _WHOLE_BYTES:
                    digest.update(file.read())
                else:
                    digest.update(file.read(_END_BYTES))
                    file.seek(size - _END_BYTES)
                    digest.update(file.read(_END_BYTES))
    return digest.hexdigest()[:32]
