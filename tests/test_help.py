"""Help and the page of options: complete, generated, and without Beam."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from beam_pipeline.cli import main
from beam_pipeline.configuration.config import PIPELINES
from beam_pipeline.configuration.help_text import options_markdown
from beam_pipeline.docs.options import OPTIONS_PAGE
from beam_pipeline.version import VERSION

_ROOT = Path(__file__).resolve().parent.parent
_HEAVY = "('apache_beam', 'av', 'torch')"


def test_overview_names_commands_and_exit_statuses(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    said = capsys.readouterr().out
    for words in ("split|shard|curate", "plan", "sample", "  0 ", "  1 ", "  2 ", "  3 ", "  130 "):
        assert words in said, words


@pytest.mark.parametrize("pipeline", sorted(PIPELINES))
def test_help_of_a_pipeline_names_every_option(
    pipeline: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([pipeline, "--help"]) == 0
    said = capsys.readouterr().out
    words = set(said.replace("--", " ").replace(",", " ").split())
    assert set(PIPELINES[pipeline].options()) <= words


def test_help_is_grouped_with_units_and_defaults(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    main(["split", "--help"])
    said = capsys.readouterr().out
    assert "--fixed_stride_split_duration  a number, more than 0 (seconds); default 10" in said
    headings = [line for line in said.splitlines() if line and not line.startswith(" ")]
    order = ["Input", "Splitting", "Chunks", "Encoding clips", "Motion filter", "Output", "Run"]
    assert [heading for heading in headings if heading in order] == order
    assert max(len(line) for line in said.splitlines()) <= 100


def test_help_and_version_need_no_beam() -> None:
    code = (
        "import sys\nfrom beam_pipeline.cli import main\n"
        "for argv in (['--help'], ['--version'], ['curate', '--help'], ['sample', '--help'],\n"
        "             ['split', '--motion_filter', 'on']):\n    main(argv)\n"
        f"print([name for name in {_HEAVY} if name in sys.modules], file=sys.stderr)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=_ROOT, capture_output=True, text=True, check=True
    )
    assert result.stderr.splitlines()[-1] == "[]"
    assert f"beam-curate {VERSION}" in result.stdout


def test_every_option_is_explained() -> None:
    for config in PIPELINES.values():
        for option in config.options().values():
            assert option.help, option.name
            assert option.title, option.name


def test_page_of_options_is_up_to_date() -> None:
    assert OPTIONS_PAGE.read_text(encoding="utf-8") == options_markdown(), (
        "run: python -m beam_pipeline.docs.options"
    )
