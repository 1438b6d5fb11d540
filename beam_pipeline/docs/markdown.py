"""Tables of the generated pages in ``docs/``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs"
"""Of a checkout; a wheel has no documents."""


def table_row(cells: Iterable[str]) -> str:
    r"""Return one row of a table.

    Example:
        >>> table_row(["a", "b | c"])
        '| a | b \\| c |'
    """
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def table(heads: list[str], rows: Iterable[Iterable[str]]) -> list[str]:
    """Return the lines of a table."""
    return [table_row(heads), "|" + "---|" * len(heads), *(table_row(row) for row in rows)]
