"""What the submitter tells the boot program of each worker, by one variable of its environment."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import importlib.metadata
import json
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

VARIABLE = "BEAM_CURATE_BOOT"
ROOT = Path(__file__).resolve().parent.parent
"""The folder that this program was imported from."""
_PACKAGES = ("beam_pipeline", "runners", "transforms")
OPTIONAL = frozenset({"torch"})
"""Must be the same only where both have it."""
_LIBRARIES = ("apache-beam", "av", "numpy", *OPTIONAL)
"""What decides the bytes of the output."""


@dataclass(frozen=True)
class BootOrder:
    """How a worker is to be started; names and paths only, never a secret: Flink shows it."""

    program: dict[str, str]
    """``program_facts()`` of the submitter; the worker's must be the same."""
    visible: tuple[str, ...] = ()
    """What the worker must find."""
    scratch_path: str | None = None
    """Folder for files in work; None: the system's folder for temporary files."""
    log_level: str = "WARNING"
    workers_here: int = 1
    """Workers that share one machine."""
    reports: str | None = None
    """Folder in the output where a worker says why it cannot start."""

    def to_json(self) -> str:
        """Return it as text; ``from_json`` reads it."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> BootOrder:
        """Return what :meth:`to_json` wrote.

        Raises:
            ValueError: It is something else, e.g. of another version of this program.
        """
        try:
            values = json.loads(text)
            return cls(**{**values, "visible": tuple(values["visible"])})
        except (TypeError, KeyError) as error:
            raise ValueError(f"{VARIABLE} is none of this version's: {error}") from error


@cache
def program_facts() -> Mapping[str, str]:
    """Return what must be the same where a run is submitted and where it works."""
    code = hashlib.sha256()
    for package in _PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            code.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes())
    facts = {
        "Python": ".".join(platform.python_version_tuple()[:2]),
        "beam-curate (its code)": code.hexdigest()[:12],
    }
    for name in _LIBRARIES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            # Without what follows a "+", which names the machine that it was built for.
            facts[name] = importlib.metadata.version(name).partition("+")[0]
    return facts


def python_path() -> str:
    """Return the PYTHONPATH with which ``python -m`` finds this program as it was found here."""
    told = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    paths = [str(Path(path).absolute()) for path in told if path]
    return os.pathsep.join(paths if str(ROOT) in paths else [str(ROOT), *paths])
