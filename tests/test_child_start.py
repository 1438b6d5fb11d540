"""What starting a child costs: it imports no more than decoding needs."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

_LIST_MODULES = "import sys, transforms.media.child; print(*sys.modules)"


@pytest.fixture(scope="module")
def imported() -> set[str]:
    """Return the modules in a fresh interpreter that has imported the child."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", _LIST_MODULES]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_child_imports_what_it_decodes_with(imported: set[str]) -> None:
    assert {"av", "numpy", "transforms.media.cut", "transforms.media.look"} <= imported


@pytest.mark.parametrize("package", ["apache_beam", "pydantic", "PIL", "rich", "yaml"])
def test_the_child_starts_without(package: str, imported: set[str]) -> None:
    # Every child of every worker would pay for them: pydantic alone is 18 MiB and 0.2 s.
    assert package not in imported
