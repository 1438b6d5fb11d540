"""The program that starts workers on a cluster: what it checks, and what it gives each worker."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from wrong_use import environment

from runners.boot_checks import (
    NO_SCRATCH,
    NOT_STARTED,
    NOT_VISIBLE,
    OTHER_PROGRAM,
    BootError,
    check_machine,
    is_told_to_stop,
    read_report,
    tell_to_stop,
)
from runners.boot_order import VARIABLE, BootOrder, program_facts
from runners.bounded_log import MAX_FILES, BoundedLog
from runners.gpus import leased_gpu, visible_gpus

Boot = Callable[..., tuple[int, str]]


@pytest.fixture
def order(tmp_path: Path) -> BootOrder:
    """Return an order that this machine can carry out."""
    (tmp_path / "reports").mkdir()
    return BootOrder(
        program=dict(program_facts()),
        visible=(str(tmp_path),),
        scratch_path=str(tmp_path / "scratch"),
        reports=str(tmp_path / "reports"),
    )


@pytest.fixture
def boot(tmp_path: Path) -> Boot:
    """Return a function that runs the boot program and returns its exit status and its log."""
    for name in ("locks", "logs"):
        (tmp_path / name).mkdir()

    def run(order: BootOrder) -> tuple[int, str]:
        variables = {
            VARIABLE: order.to_json(),
            "XDG_RUNTIME_DIR": str(tmp_path / "locks"),
            "BEAM_CURATE_LOGS": str(tmp_path / "logs"),
        }
        endpoints = [f"--{name}_endpoint=127.0.0.1:1" for name in ("provision", "control")]
        result = subprocess.run(
            [sys.executable, "-m", "runners.worker_boot", "--id=1-1", *endpoints],
            env=environment(variables),
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert result.stderr == ""
        (log,) = (tmp_path / "logs").iterdir()
        return result.returncode, log.read_text()

    return run


class TestChecks:
    def test_another_program(self, boot: Boot, order: BootOrder) -> None:
        other = {**program_facts(), "Python": "2.7", "beam-curate (its code)": "0123456789ab"}
        status, log = boot(dataclasses.replace(order, program=other))
        assert status == OTHER_PROGRAM
        assert f"Python {program_facts()['Python']} here, 2.7 there" in log
        assert "0123456789ab there" in str(read_report(order.reports))

    @pytest.mark.parametrize("library", ["av", "numpy"])
    def test_another_library_that_decides_the_bytes(
        self, boot: Boot, order: BootOrder, library: str
    ) -> None:
        other = {**program_facts(), library: "0.1"}
        status, log = boot(dataclasses.replace(order, program=other))
        assert status == OTHER_PROGRAM
        assert f"{library} {importlib.metadata.version(library)} here, 0.1 there" in log

    def test_torch_must_be_the_same_where_both_have_it(self, order: BootOrder) -> None:
        other = {**program_facts(), "torch": "0.1"}
        if "torch" in program_facts():
            with pytest.raises(BootError, match=r"torch .* here, 0\.1 there"):
                check_machine(dataclasses.replace(order, program=other))
            del other["torch"]
        check_machine(dataclasses.replace(order, program=other))

    def test_storage_that_is_not_there(self, boot: Boot, order: BootOrder, tmp_path: Path) -> None:
        missing = str(tmp_path / "not-mounted" / "lease.json")
        status, log = boot(dataclasses.replace(order, visible=(str(tmp_path), missing)))
        assert status == NOT_VISIBLE
        assert f"{missing}: is not there" in log
        assert not (tmp_path / "not-mounted").exists()

    def test_scratch_that_is_a_file(self, boot: Boot, order: BootOrder, tmp_path: Path) -> None:
        (tmp_path / "scratch").write_text("")
        status, log = boot(order)
        assert status == NO_SCRATCH
        assert "File exists" in log
        assert "scratch folder" in str(read_report(order.reports))

    @pytest.mark.cluster
    def test_scratch_without_room(
        self, boot: Boot, order: BootOrder, tiny_disk: Path, tmp_path: Path
    ) -> None:
        status, _ = boot(dataclasses.replace(order, scratch_path=str(tiny_disk)))
        assert status == NO_SCRATCH
        assert "needed 256 MiB of room at least, got 1 MiB" in str(read_report(order.reports))

    def test_a_worker_that_ends_while_it_starts(self, boot: Boot, order: BootOrder) -> None:
        status, log = boot(order)
        assert status == NOT_STARTED
        # Nobody listens on port 1.
        assert "UNAVAILABLE" in log
        assert "ended with status 1 while it started" in str(read_report(order.reports))
        assert list(Path(str(order.scratch_path)).iterdir()) == [], "its scratch folder"


class TestCheckAlone:
    """``--check``: what a machine lacks is printed, with the exit status of a worker's start."""

    def test_a_good_machine(self, order: BootOrder, tmp_path: Path) -> None:
        assert self.checked(order, tmp_path) == (0, "")
        assert list((tmp_path / "logs").iterdir()) == [], "no worker was started"
        assert list((tmp_path / "scratch").iterdir()) == []

    def test_a_bad_machine(self, order: BootOrder, tmp_path: Path) -> None:
        other = {**program_facts(), "av": "0.1"}
        missing = str(tmp_path / "not-mounted" / "lease.json")
        (tmp_path / "file").write_text("")
        for bad, status, needle in (
            (dataclasses.replace(order, program=other), OTHER_PROGRAM, "0.1 there"),
            (
                dataclasses.replace(order, visible=(missing,)),
                NOT_VISIBLE,
                f"{missing}: is not there",
            ),
            (
                dataclasses.replace(order, scratch_path=f"{tmp_path}/file"),
                NO_SCRATCH,
                "File exists",
            ),
        ):
            found, told = self.checked(bad, tmp_path)
            assert found == status
            assert told.startswith(f"{socket.gethostname()}: ")
            assert needle in told
        assert read_report(order.reports) is None, "the submitter reads what is printed"

    def test_a_log_folder_that_cannot_be_made(self, order: BootOrder, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        status, told = self.checked(order, tmp_path, logs=f"{tmp_path}/file/logs")
        assert status == NOT_STARTED
        assert "a worker's log cannot be written" in told

    @staticmethod
    def checked(order: BootOrder, tmp_path: Path, *, logs: str = "") -> tuple[int, str]:
        """Run the check and return its exit status and what it printed."""
        for name in ("locks", "logs"):
            (tmp_path / name).mkdir(exist_ok=True)
        variables = {
            VARIABLE: order.to_json(),
            "XDG_RUNTIME_DIR": str(tmp_path / "locks"),
            "BEAM_CURATE_LOGS": logs or str(tmp_path / "logs"),
        }
        result = subprocess.run(
            [sys.executable, "-m", "runners.worker_boot", "--id=check", "--check"],
            env=environment(variables),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert result.stderr == ""
        return result.returncode, result.stdout


def test_workers_are_told_to_stop(tmp_path: Path) -> None:
    folder = str(tmp_path / "reports")
    assert not is_told_to_stop(folder)
    tell_to_stop(folder)
    assert is_told_to_stop(folder)
    assert read_report(folder) is None
    tell_to_stop(None)
    assert not is_told_to_stop(None)


@pytest.fixture
def tiny_disk(tmp_path: Path) -> object:
    """Mount a disk of one MiB, where this user may mount."""
    disk = tmp_path / "tiny"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        problem = "this user may not mount a disk"
        if os.environ.get("REQUIRE_CLUSTER") == "1":
            pytest.fail(problem)
        pytest.skip(problem)
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_an_order_is_read_back() -> None:
    order = BootOrder({"Python": "3.11"}, ("/a", "/b"), None, "DEBUG", 3, "/reports")
    assert BootOrder.from_json(order.to_json()) == order


@pytest.mark.parametrize("text", ["{}", "[]", '{"visible": [], "unknown": 1}', "none"])
def test_an_order_of_another_version_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"BEAM_CURATE_BOOT|Expecting value"):
        BootOrder.from_json(text)


def test_an_order_tells_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "very-secret")
    order = BootOrder(dict(program_facts()), ("s3://bucket/out",))
    assert json.loads(order.to_json()).keys() == {
        *("program", "visible", "scratch_path", "log_level", "workers_here", "reports")
    }
    assert "very-secret" not in order.to_json()


class TestGpus:
    @pytest.fixture(autouse=True)
    def locks(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))

    def test_each_worker_gets_one_of_its_own(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3, GPU-8f1e")
        with leased_gpu() as first, leased_gpu() as second, leased_gpu(wait_seconds=0) as third:
            assert [lease.gpu for lease in (first, second, third)] == ["3", "GPU-8f1e", None]

    def test_those_of_two_slurm_jobs_on_a_node_have_the_same_names(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
        monkeypatch.setenv("SLURM_JOB_ID", "4711")
        with leased_gpu() as first, leased_gpu(wait_seconds=0) as second:
            monkeypatch.setenv("SLURM_JOB_ID", "4712")
            with leased_gpu(wait_seconds=0) as other:
                assert [lease.gpu for lease in (first, second, other)] == ["0", None, "0"]

    def test_one_that_gets_none_complains(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
        with leased_gpu() as first, leased_gpu() as second, leased_gpu(wait_seconds=0) as third:
            assert (first.complaint, second.complaint) == (None, None)
            assert "no GPU was free: other workers have all 2" in str(third.complaint)
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
        with leased_gpu() as lease:
            assert lease.complaint is None

    def test_one_that_is_given_back_is_given_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
        for _ in range(2):
            with leased_gpu(wait_seconds=0) as lease:
                assert lease.gpu == "0"

    def test_no_gpu_is_allowed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
        assert visible_gpus() == []
        with leased_gpu() as lease:
            assert (lease.gpu, lease.handle) == (None, None)

    def test_the_lock_lives_as_long_as_a_process_that_inherited_it(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
        with leased_gpu() as lease:
            assert lease.handle is not None
            worker = subprocess.Popen(
                [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=(lease.handle,)
            )
        with leased_gpu(wait_seconds=0) as meanwhile:
            assert meanwhile.gpu is None
        worker.communicate(b"\n")
        with leased_gpu(wait_seconds=0) as later:
            assert later.gpu == "0"


class TestBoundedLog:
    def test_the_newest_bytes_stay(self, tmp_path: Path) -> None:
        log = BoundedLog(tmp_path / "worker-1.log", max_bytes=1000)
        for number in range(1000):
            log.write(b"line %03d\n" % number)
        log.close()
        newest, older = tmp_path / "worker-1.log", tmp_path / "worker-1.log.1"
        assert newest.stat().st_size <= 1000
        assert older.stat().st_size <= 1000
        lines = (older.read_text() + newest.read_text()).splitlines()
        assert lines == [f"line {number:03d}" for number in range(1000 - len(lines), 1000)]
        assert log.last_line() == "line 999"

    def test_one_piece_larger_than_the_file(self, tmp_path: Path) -> None:
        log = BoundedLog(tmp_path / "worker-1.log", max_bytes=10)
        log.write(b"0123456789abcdef")
        log.close()
        assert (tmp_path / "worker-1.log").read_bytes() == b"6789abcdef"

    def test_old_logs_are_removed(self, tmp_path: Path) -> None:
        for number in range(MAX_FILES + 5):
            (tmp_path / f"worker-{number:04d}.log").touch()
        (tmp_path / "of-somebody-else").touch()
        BoundedLog(tmp_path / "worker-9999.log").close()
        left = sorted(path.name for path in tmp_path.iterdir())
        assert left[0] == "of-somebody-else"
        assert left[1] == "worker-0005.log"
        assert len(left) == MAX_FILES + 2
