"""Tests that need the packages of models, and Pythons that do not have them."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import pytest

Test = TypeVar("Test")
_WITHOUT = """\
import importlib.util as u
f = u.find_spec
u.find_spec = lambda name, package=None: None if name in {names!r} else f(name, package)
"""


def needing(*packages: str) -> list[pytest.MarkDecorator]:
    """Return the marks of a test: skipped without a package, failing where it must run."""
    missing = any(importlib.util.find_spec(name) is None for name in packages)
    return [
        pytest.mark.torch,
        pytest.mark.skipif(
            missing and os.environ.get("REQUIRE_TORCH") != "1",
            reason=f"needs {' and '.join(packages)} (extra: models)",
        ),
    ]


NEEDS_TORCH = needing("torch")
NEEDS_TRANSFORMERS = needing("torch", "transformers")


def needs_torch(test: Test) -> Test:
    """Mark one test."""
    return _marked(test, NEEDS_TORCH)


def needs_transformers(test: Test) -> Test:
    """Mark one test."""
    return _marked(test, NEEDS_TRANSFORMERS)


def _marked(test: Test, marks: Sequence[pytest.MarkDecorator]) -> Test:
    for mark in marks:
        test = mark(test)
    return test


def without_packages(folder: Path, *names: str) -> dict[str, str]:
    """Return the environment of a Python that does not find these, also where they are installed.

    Args:
        folder: New; what that Python reads first is put there.
        names: Of the packages.
    """
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(_WITHOUT.format(names=names))
    return {"PYTHONPATH": str(folder)}
