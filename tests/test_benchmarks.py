"""Benchmarks that no other test runs still run, on the smallest of inputs; none is timed here."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import shard
from benchmarks.scale_steps import ORDER, PLAN_ORDER, Steps
from benchmarks.scale_tree import CLIPS_PER_VIDEO, make_tree

NUM_CLIPS = 3 * CLIPS_PER_VIDEO


@pytest.mark.parametrize(
    ("order", "records_only"), [(ORDER, False), (PLAN_ORDER, True)], ids=["records", "plan"]
)
def test_steps_of_long_runs_go_through_a_made_tree(
    tmp_path: Path, order: tuple[str, ...], records_only: bool
) -> None:
    steps = Steps(make_tree(tmp_path, num_clips=NUM_CLIPS, records_only=records_only))
    things = {name: getattr(steps, name)() for name in order}
    of_videos = ("list_streaming", "list_held", "resume_streaming", "resume_held")
    # Rows are counted in thousands, one batch here.
    expected = {"nothing": 1, "rows_read": 1000} | dict.fromkeys(of_videos, 3)
    assert things == {name: expected.get(name, NUM_CLIPS) for name in order}


def test_shards_are_compared_with_tar(capsys: pytest.CaptureFixture[str]) -> None:
    status = shard.main(["--gigabytes", "0.01", "--clip-mb", "1", "--tar-mb", "4", "--rounds", "1"])
    assert status in (0, 1)
    assert "0.01 GiB in 3 tars" in capsys.readouterr().out
