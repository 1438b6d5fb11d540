"""Counters: one file per process, nothing lost, sums that agree."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from beam_pipeline.progress_display import ProgressDisplay, progress_facts
from transforms.progress import Counters, TotalsReader, count, flush_counts, read_totals

_WORKER = """
import sys
from beam_pipeline.progress_display import ProgressDisplay, progress_facts
from transforms.progress import count
for _ in range(1000):
    count(sys.argv[1], clips_written=1, seconds_cut=0.5)
"""


def test_processes_write_files_of_their_own_and_lose_nothing_at_exit(tmp_path: Path) -> None:
    commands = [[sys.executable, "-c", _WORKER, str(tmp_path)] for _ in range(2)]
    workers = [subprocess.Popen(command) for command in commands]
    assert [worker.wait() for worker in workers] == [0, 0]
    assert len(list(tmp_path.glob("*.jsonl"))) == 2
    assert read_totals(str(tmp_path)) == {"clips_written": 2000, "seconds_cut": 1000.0}


def test_many_additions_are_few_lines(tmp_path: Path) -> None:
    counters = Counters(str(tmp_path))
    for _ in range(500):
        counters.add(clips_written=1)
    counters.close()
    (path,) = tmp_path.glob("*.jsonl")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert sum(line["clips_written"] for line in lines) == 500
    assert len(lines) <= 3


def test_what_waits_is_written_without_another_addition(tmp_path: Path) -> None:
    counters = Counters(str(tmp_path))
    counters.add(failures=1)
    counters.add(failures=1)
    assert read_totals(str(tmp_path)) == {"failures": 1}
    deadline = time.monotonic() + 5
    while read_totals(str(tmp_path)) != {"failures": 2}:
        assert time.monotonic() < deadline, "the second count was never written"
        time.sleep(0.05)


def test_reader_reads_on_and_waits_for_the_end_of_a_line(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"clips_written": 2}\n{"clips_wri')
    reader = TotalsReader(str(tmp_path))
    assert reader.read() == {"clips_written": 2}
    with path.open("a") as file:
        file.write('tten": 3}\n{"failures": 1}\n')
    assert reader.read() == {"clips_written": 5, "failures": 1}
    assert reader.read() == {"clips_written": 5, "failures": 1}


def test_count_is_safe_from_threads(tmp_path: Path) -> None:
    def work() -> None:
        for _ in range(1000):
            count(str(tmp_path), videos_probed=1)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    flush_counts()
    assert read_totals(str(tmp_path)) == {"videos_probed": 8000}


def test_no_folder_means_no_counts(tmp_path: Path) -> None:
    assert read_totals(str(tmp_path / "missing")) == {}


def test_facts_show_what_is_known_and_the_time_left() -> None:
    totals = {
        "videos_selected": 4.0,
        "videos_probed": 2.0,
        "seconds_planned": 200.0,
        "seconds_cut": 100.0,
        "clips_written": 9.0,
        "clips_rejected": 1.0,
        "shards_written": 3.0,
    }
    # 100 s of video in 50 s; two videos of 200 s are probed, four are to come to 400 s.
    assert progress_facts(totals, 50.0) == [
        ("elapsed", "0:00:50"),
        ("probed", "2/4 videos"),
        ("cut", "100/200 s of video"),
        ("clips", "9 written"),
        ("rejected", "1"),
        ("shards", "3 written"),
        ("failures", "0"),
        ("rate", "2.0 s of video per second"),
        ("left", "0:02:30"),
    ]


def test_lines_come_while_the_run_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with ProgressDisplay(str(tmp_path), interval_seconds=0.05):
        count(str(tmp_path), videos_selected=3, videos_probed=1)
        flush_counts()
        said = ""
        deadline = time.monotonic() + 5
        while "probed 1/3 videos" not in said:
            assert time.monotonic() < deadline, said
            time.sleep(0.02)
            said += capsys.readouterr().err
    assert said.startswith("progress 0:00:00: probed")
