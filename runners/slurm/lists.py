"""Lists inside one option, with commas as upstream writes them, or as several words."""

from __future__ import annotations

import re
from collections.abc import Iterable

_COMMA = re.compile(r"(?<!\\),")


def split_list(written: Iterable[str]) -> list[str]:
    r"""Return the members of lists written with commas; ``\,`` is a comma inside a member.

    Example:
        >>> split_list(["A=1,B=2", r"C=x\,y", ""])
        ['A=1', 'B=2', 'C=x,y']
    """
    members = [member for text in written for member in _COMMA.split(text)]
    return [member.replace("\\,", ",") for member in members if member]


def mount_problem(mount: str) -> str | None:
    """Return what is wrong with a mount, None when it is SOURCE:TARGET with ``:ro`` or ``:rw``."""
    parts = mount.split(":")
    flags = parts[2:]
    is_good = len(parts) in (2, 3) and parts[0].startswith("/") and parts[1].startswith("/")
    if is_good and "," not in mount and all(re.fullmatch(r"[a-z+]+", flag) for flag in flags):
        return None
    return (
        "container_mounts: needed /SOURCE:/TARGET, or /SOURCE:/TARGET:ro, absolute paths; "
        f"got {mount!r}"
    )


def environment_problem(variable: str) -> str | None:
    """Return what is wrong with NAME or NAME=VALUE; the value may be a secret and is not told."""
    name = variable.partition("=")[0]
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        return (
            f"environment: needed NAME=VALUE or NAME; got a name {name!r}; a comma in a value is "
            "written \\,"
        )
    if name.startswith(("SLURM_", "BC_")):
        return f"environment: {name} is set by SLURM, or by the script itself"
    return None
