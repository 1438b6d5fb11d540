"""Captions by a local model where the packages for it are not installed: no torch is needed."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
from make_video import VideoSpec, make_video
from model_packages import without_packages
from wrong_use import split, use_process


@pytest.fixture
def no_packages(tmp_path: Path) -> dict[str, str]:
    """Return the environment of a Python that finds neither torch nor transformers."""
    return without_packages(tmp_path / "site", "torch", "transformers", "vllm")


def test_the_packages_that_are_missing_are_named_with_the_pip_line(
    tmp_path: Path, no_packages: dict[str, str]
) -> None:
    raw, model, out = (tmp_path / name for name in ("raw", "model", "out"))
    raw.mkdir()
    make_video(raw / "a.mp4", VideoSpec(seconds=1, size=(64, 48)))
    model.mkdir()
    (model / "config.json").write_text(json.dumps({"model_type": "qwen2_5_vl"}))
    (model / "model.safetensors").write_bytes(struct.pack("<Q", 2) + b"{}")
    asked = ("--generate_captions", "true", "--captioning_model", model)
    ended = use_process(*split(raw, out, *asked), env=no_packages)
    assert ended.status == 1
    ended.told("transformers", "pip install 'beam-curate[models]'")
    assert not out.exists()
    auto = use_process(*split(raw, out, "--captioning_model", model), env=no_packages)
    assert auto.status == 0
    auto.told("generate_captions: auto is off here (captions by a local model need the packages")
