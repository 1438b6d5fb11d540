"""Counters: one file per process, nothing lost, sums that agree."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from pathlib import Path

from transforms.progress import Counters, TotalsReader, count, flush_counts, read_totals

_WORKER = """
import sys
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
