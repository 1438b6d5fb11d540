"""Machine-wide locks and slots: between real processes, and after one was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from transforms.errors import PreflightError
from transforms.machine_locks import lock_folder, machine_lock
from transforms.media.slots import num_slots, slot

ROOT = Path(__file__).resolve().parent.parent

HOLD_A_SLOT = """
from transforms.media.slots import slot
with slot() as number:
    print(number, flush=True)
    input()
"""

COUNT_UNDER_LOCK = """
import sys
from pathlib import Path
from transforms.machine_locks import machine_lock
path = Path(sys.argv[1])
for _ in range(100):
    with machine_lock("counter"):
        path.write_text(str(int(path.read_text()) + 1))
"""


@pytest.fixture(autouse=True)
def own_lock_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    runtime = tmp_path / "runtime"
    runtime.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return runtime


def start(code: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def read_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_there_are_as_many_slots_as_usable_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BEAM_CURATE_SLOTS", raising=False)
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert num_slots() == 1
    finally:
        os.sched_setaffinity(0, before)
    assert num_slots() == len(before)


def test_the_operator_sets_the_number_of_slots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEAM_CURATE_SLOTS", "7")
    assert num_slots() == 7


@pytest.mark.parametrize("given", ["0", "-1", "two", "", "1.5", "²"])
def test_a_wrong_number_of_slots_is_refused(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEAM_CURATE_SLOTS", given)
    with pytest.raises(PreflightError, match="BEAM_CURATE_SLOTS must be a whole number"):
        num_slots()


def test_a_slot_dies_with_its_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEAM_CURATE_SLOTS", "1")
    holder = start(HOLD_A_SLOT)
    assert read_line(holder) == "0"
    polls: list[float] = []

    def kill_after_a_while() -> None:
        polls.append(time.monotonic())
        if len(polls) == 5:
            holder.send_signal(signal.SIGKILL)

    with slot(while_waiting=kill_after_a_while) as number:
        assert number == 0
    holder.wait()
    assert len(polls) >= 5
    # It was polled about every 50 ms, not in a busy loop.
    assert polls[4] - polls[0] >= 0.19


def test_processes_take_different_slots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEAM_CURATE_SLOTS", "2")
    holders = [start(HOLD_A_SLOT), start(HOLD_A_SLOT)]
    assert sorted(read_line(holder) for holder in holders) == ["0", "1"]
    third = start(HOLD_A_SLOT)
    holders[0].communicate("\n")
    assert read_line(third) in ("0", "1")
    third.communicate("\n")
    holders[1].communicate("\n")


def test_no_more_threads_than_slots_work_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEAM_CURATE_SLOTS", "2")
    lock, counts = threading.Lock(), {"now": 0, "most": 0, "done": 0}

    def work() -> None:
        with slot():
            with lock:
                counts["now"] += 1
                counts["most"] = max(counts["most"], counts["now"])
            time.sleep(0.1)
            with lock:
                counts["now"] -= 1
                counts["done"] += 1

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts == {"now": 0, "most": 2, "done": 6}


def test_the_lock_folder_is_private(own_lock_folder: Path) -> None:
    folder = lock_folder()
    assert folder == own_lock_folder / "beam-curate"
    assert folder.stat().st_mode & 0o777 == 0o700


def test_without_a_runtime_folder_locks_lie_among_temporary_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "absent"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert lock_folder() == tmp_path / f"beam-curate-{os.getuid()}"


def test_a_folder_that_others_may_write_to_is_refused(own_lock_folder: Path) -> None:
    lock_folder().chmod(0o777)
    with pytest.raises(PreflightError, match="other users may write to it"):
        lock_folder()


def test_a_link_in_place_of_the_folder_is_refused(own_lock_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (own_lock_folder / "beam-curate").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PreflightError, match="it is a link or a file"):
        lock_folder()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_another_user_is_refused(own_lock_folder: Path) -> None:
    os.chown(lock_folder(), 4321, 4321)
    with pytest.raises(PreflightError, match="it belongs to uid 4321"):
        lock_folder()


def test_a_file_in_place_of_the_slots_is_refused() -> None:
    (lock_folder() / "slots").write_text("")
    with pytest.raises(PreflightError, match="cannot be opened"), slot():
        pass


def test_machine_lock_lets_one_process_in_at_a_time(tmp_path: Path) -> None:
    counter = tmp_path / "counter"
    counter.write_text("0")
    processes = [start(COUNT_UNDER_LOCK, str(counter)) for _ in range(4)]
    assert [process.wait() for process in processes] == [0, 0, 0, 0]
    assert counter.read_text() == "400"


def test_machine_lock_lets_one_thread_in_at_a_time() -> None:
    entered: list[str] = []

    def enter() -> None:
        with machine_lock("a"):
            entered.append("thread")

    with machine_lock("a"):
        thread = threading.Thread(target=enter)
        thread.start()
        thread.join(timeout=0.2)
        entered.append("first")
    thread.join()
    assert entered == ["first", "thread"]


def test_locks_of_other_names_are_free() -> None:
    with machine_lock("a"), machine_lock("b"), machine_lock("name\nwith\udcff" + "x" * 5000):
        assert len(list((lock_folder() / "locks").iterdir())) == 3
