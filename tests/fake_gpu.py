"""GPUs that are not there: a program of the driver's name that tells of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest


def fake_gpus(
    monkeypatch: pytest.MonkeyPatch, folder: Path, gpus: Mapping[int, tuple[int, int]]
) -> None:
    """Have these GPUs on this machine, number to (total, free) in MiB, as its tool tells them."""
    lines = [
        f"{number}, GPU-{number:04d}, {total}, {free}" for number, (total, free) in gpus.items()
    ]
    folder.mkdir(parents=True, exist_ok=True)
    tool = folder / "nvidia-smi"
    text = "\n".join(lines)
    tool.write_text(f"#!/bin/sh\ncat <<'END'\n{text}\nEND\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", ",".join(map(str, gpus)))
