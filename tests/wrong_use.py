"""Running the program the way a user does who gets something wrong, and what must hold then."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from beam_pipeline.cli import main

ROOT = Path(__file__).resolve().parent.parent
STRIDE = (
    "--splitting_algorithm",
    "fixed-stride",
    "--fixed_stride_split_duration",
    "1",
    "--fixed_stride_min_clip_length_s",
    "0.5",
)
QUICK = (*STRIDE, "--clip_re_chunk_size", "1", "--no-predict")


@dataclass(frozen=True)
class Ended:
    """How the program ended."""

    status: int
    out: str
    err: str

    def told(self, *needles: str) -> None:
        """Assert that standard error says all of this, in the program's own plain lines."""
        missing = [needle for needle in needles if needle not in self.err]
        assert not missing, f"{missing} not in:\n{self.err}"
        assert "Traceback" not in self.err, self.err
        assert "[while running" not in self.err, self.err

    @property
    def complaints(self) -> list[str]:
        """What the program says in its own name on standard error."""
        prefix = "beam-curate: "
        return [
            line.removeprefix(prefix) for line in self.err.splitlines() if line.startswith(prefix)
        ]


def use(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> Ended:
    """Run the program in this process."""
    capsys.readouterr()
    status = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return Ended(status, captured.out, captured.err)


def environment(more: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a process that finds this checkout."""
    paths = [str(ROOT), *filter(None, [more.get("PYTHONPATH")])]
    return {**os.environ, **more, "PYTHONPATH": os.pathsep.join(reversed(paths))}


def use_process(*arguments: str | Path, env: Mapping[str, str] | None = None) -> Ended:
    """Run the program in a process of its own."""
    result = subprocess.run(
        [sys.executable, "-m", "beam_pipeline", *map(str, arguments)],
        env=environment(env or {}),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    return Ended(result.returncode, result.stdout, result.stderr)


def split(raw: Path, out: Path, *options: str | Path) -> list[str | Path]:
    """Return the command line that splits ``raw`` into clips of one second in ``out``."""
    return ["split", "--input_video_path", raw, "--output_clip_path", out, *QUICK, *options]


def listing(folder: Path) -> dict[str, tuple[int, int]]:
    """Return every file below the folder with its size and time of change; folders with zeros."""
    found = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        known = (status.st_size, status.st_mtime_ns) if path.is_file() else (0, 0)
        found[path.relative_to(folder).as_posix()] = known
    return found
