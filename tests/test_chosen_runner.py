"""``--runner`` names a module of ``runners``; what is no runner here never runs as another one."""

from __future__ import annotations

from pathlib import Path

import pytest
from wrong_use import split, use

from runners import direct
from runners.chosen import chosen


@pytest.mark.parametrize(
    "flags",
    [
        [],
        ["--runner=DirectRunner"],
        ["--runner=directrunner"],
        ["--runner=direct"],
        ["--runner=FnApiRunner"],
        ["--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner"],
        ["--runner=NoSuchRunner", "--runner=DirectRunner"],
    ],
)
def test_local_runs_have_one_engine(flags: list[str]) -> None:
    assert chosen(flags) is direct


def test_an_unknown_runner_is_refused_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ended = use(capsys, *split(tmp_path, tmp_path / "out", "--runner=SparkRunner"))
    assert ended.status == 2
    ended.told("--runner=SparkRunner", "DirectRunner")
    assert not (tmp_path / "out").exists()
