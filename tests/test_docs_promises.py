"""The tests that the page on resume and failures names are there and run."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PAGE = TESTS.parent / "docs" / "resume-and-failures.md"
NAMED = re.findall(r"\| `(test_\w+\.py(?:::\w+)+)` \|", PAGE.read_text(encoding="utf-8"))


def test_the_page_names_tests_of_every_kind() -> None:
    files = {name.split("::")[0] for name in NAMED}
    assert {"test_killed.py", "test_commit_race.py", "test_verify.py", "test_changed.py"} <= files
    assert {"test_hostile_media.py", "test_lease.py", "test_lossy_stage.py"} <= files
    assert len(NAMED) == len(set(NAMED))


@pytest.mark.parametrize("name", NAMED)
def test_a_named_test_exists(name: str) -> None:
    file, *path = name.split("::")
    body: list[ast.stmt] = ast.parse((TESTS / file).read_text(encoding="utf-8")).body
    for step in path:
        found = [node for node in body if getattr(node, "name", None) == step]
        assert found, f"{file} has no {step}"
        assert not any("skip" in ast.unparse(one) for one in found[0].decorator_list)
        body = found[0].body
