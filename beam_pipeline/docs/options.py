"""Writes ``docs/options.md``: ``python -m beam_pipeline.docs.options``, from a checkout."""

from __future__ import annotations

from beam_pipeline.configuration.help_text import options_markdown
from beam_pipeline.docs.markdown import DOCS

OPTIONS_PAGE = DOCS / "options.md"


def write_options_page() -> None:
    """Write the page anew."""
    OPTIONS_PAGE.parent.mkdir(exist_ok=True)
    OPTIONS_PAGE.write_text(options_markdown(), encoding="utf-8")


if __name__ == "__main__":
    write_options_page()
