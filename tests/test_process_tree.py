"""The measuring of whole process trees that benchmarks and memory ceilings rely on."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.process_tree import measure

MB = 1_000_000
_HOLD = "import time; held = bytearray(b'x' * {size}); time.sleep(1.5)"
_PARENT = "import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}], check=True)"
_COMPUTE = "import time\nwhile time.process_time() < 0.7: pass"


def test_memory_of_a_child_counts_for_the_tree_but_not_for_its_root(tmp_path: Path) -> None:
    script = _PARENT.format(child=_HOLD.format(size=300 * MB))

    cost = measure([sys.executable, "-c", script], log=tmp_path / "log")

    # The literal is built beside its copy: twice the size for a moment.
    assert 300 * MB <= cost.peak_bytes <= 700 * MB
    assert cost.peak_own_bytes_of_root < 100 * MB
    assert cost.most_processes == 2
    assert cost.wall_seconds >= 1.5


def test_processor_time_of_a_child_counts(tmp_path: Path) -> None:
    cost = measure([sys.executable, "-c", _PARENT.format(child=_COMPUTE)], log=tmp_path / "log")

    assert 0.7 <= cost.processor_seconds <= 2.0


def test_a_command_that_fails_is_no_measurement(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"exit status 3 of .*(.|\n)*it broke"):
        measure(
            [sys.executable, "-c", "import sys; print('it broke'); sys.exit(3)"],
            log=tmp_path / "log",
        )
