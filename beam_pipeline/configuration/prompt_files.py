"""Prompts in files: the user's own, and those that are ready to use."""

from __future__ import annotations

from pathlib import Path

from transforms.errors import UsageError

SHIPPED = Path(__file__).resolve().parents[2] / "configs" / "prompts"
"""Beside this package in a checkout and in an installed package, as ``configs``."""


def shipped_prompts() -> list[str]:
    """Return the names of the prompts that are ready to use, sorted."""
    return sorted(path.stem for path in SHIPPED.glob("*.txt"))


def read_prompt(named: str) -> str:
    """Return the text of ``captioning_prompt_file``: a name of ``shipped_prompts``, or a path.

    A file of the user's that is called as one of ours is given as ``./NAME``.

    Raises:
        UsageError: It cannot be read.
    """
    names = shipped_prompts()
    path = SHIPPED / f"{named}.txt" if named in names else Path(named).expanduser()
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"captioning_prompt_file={named}: cannot be read: {error}; give a text file, or one "
            f"of the prompts that are ready to use: {', '.join(names)}"
        ) from error
