"""vLLM needs a GPU: tests put a package of its name, with its parameters, in its place."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from transforms.models.captions.engine import CaptionRequest, FramesFile

HERE = Path(__file__).parent
FOLDERS = [str(HERE / "fake_packages")]
"""To be first among the folders of packages."""
_MODULES = (
    *("vllm", "vllm.platforms", "vllm.exceptions", "vllm.sampling_params"),
    *("vllm.engine.arg_utils", "vllm.v1.engine.async_llm", "vllm.v1.engine.exceptions"),
)
if importlib.util.find_spec("transformers") is None:
    FOLDERS.append(str(HERE / "fake_transformers"))


def install(monkeypatch: pytest.MonkeyPatch, *, devices: str = "1") -> Any:
    """Put the stand-in in vLLM's place until the test ends; return its ``AsyncLLM``.

    Args:
        monkeypatch: Of the test.
        devices: GPUs that it sees; ``cpu``: it needs none.
    """
    for folder in FOLDERS:
        monkeypatch.syspath_prepend(folder)
    for name in [name for name in sys.modules if name.partition(".")[0] == "vllm"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setenv("FAKE_VLLM_DEVICES", devices)
    modules = {name: importlib.import_module(name) for name in _MODULES}
    assert str(HERE) in str(modules["vllm"].__file__)
    for name in [name for name in sys.modules if name.partition(".")[0] == "vllm"]:
        # Taken out and put in again, they go when the test ends.
        monkeypatch.setitem(sys.modules, name, sys.modules.pop(name))
    return modules["vllm.v1.engine.async_llm"].AsyncLLM


def asked(folder: Path, name: str, *, seed: int = 0) -> tuple[CaptionRequest, str]:
    """Return a request with frames of noise, and the answer that the stand-in gives to it."""
    frames = np.random.default_rng(seed).integers(0, 256, (4, 28, 56, 3), dtype=np.uint8)
    path = folder / f"{name}.npy"
    np.save(path, frames)
    request = CaptionRequest(name, "what is it?", frames=FramesFile(str(path), (0, 3, 6, 9), 30.0))
    return request, f"seen {hashlib.sha256(frames.tobytes()).hexdigest()}"
