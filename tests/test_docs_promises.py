"""The tests that the pages on failures and on wrong use name are there and run."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
DOCS = TESTS.parent / "docs"
PROMISES, WRONG_USE = (
    re.findall(r"\| `(test_\w+\.py(?:::\w+)+)` \|", (DOCS / page).read_text(encoding="utf-8"))
    for page in ("resume-and-failures.md", "wrong-use.md")
)


def test_the_page_names_tests_of_every_kind() -> None:
    files = {name.split("::")[0] for name in PROMISES}
    assert {"test_killed.py", "test_commit_race.py", "test_verify.py", "test_changed.py"} <= files
    assert {"test_hostile_media.py", "test_lease.py", "test_lossy_stage.py"} <= files
    assert len(PROMISES) == len(set(PROMISES))


def test_the_page_on_wrong_use_names_tests_of_every_kind() -> None:
    files = {name.split("::")[0] for name in WRONG_USE}
    assert {"test_wrong_clips.py", "test_wrong_options.py", "test_wrong_input.py"} <= files
    assert {"test_wrong_machine.py", "test_transnetv2.py", "test_copy.py"} <= files
    assert len(WRONG_USE) >= 30


@pytest.mark.parametrize("name", sorted({*PROMISES, *WRONG_USE}))
def test_a_named_test_exists(name: str) -> None:
    file, *path = name.split("::")
    body: list[ast.stmt] = ast.parse((TESTS / file).read_text(encoding="utf-8")).body
    for step in path:
        found = [node for node in body if getattr(node, "name", None) == step]
        assert found, f"{file} has no {step}"
        assert not any("skip" in ast.unparse(one) for one in found[0].decorator_list)
        body = found[0].body
