"""Which runner ``--runner`` names."""

from __future__ import annotations

import importlib
from typing import cast

from runners.interface import Runner
from transforms.errors import UsageError

_MODULES = {
    "direct": "runners.direct",
    "fnapi": "runners.direct",
    "flink": "runners.flink",
    "portable": "runners.portable",
    "prism": "runners.prism",
}
_DEFAULT = "direct"
_NAMES = ("DirectRunner", "FlinkRunner", "PortableRunner", "PrismRunner")


def chosen(beam_flags: list[str]) -> Runner:
    """Return the runner that the flags ask for, ``DirectRunner`` when they name none.

    Args:
        beam_flags: Options of Beam; of several ``--runner`` the last one counts.

    Raises:
        UsageError: There is no such runner here.
    """
    named = [flag.partition("=")[2] for flag in beam_flags if flag.startswith("--runner=")]
    # As Beam reads it: upper case or lower, with "Runner" or without.
    name = named[-1] if named else _DEFAULT
    module = _MODULES.get(name.rpartition(".")[2].lower().removesuffix("runner"))
    if module is None:
        raise UsageError(f"--runner={name}: there is no such runner here; {', '.join(_NAMES)}")
    # Imported when chosen: most of them import Beam or gRPC.
    return cast(Runner, importlib.import_module(module))
