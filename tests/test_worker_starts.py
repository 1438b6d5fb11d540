"""Workers that cannot start: what is said, with which exit status, and within what time."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from fault_proxy import FaultProxy
from store_faults import SLOW_DOWN
from store_servers import (
    LIST,
    OTHER,
    OWNER,
    READ,
    WRONG_SECRET,
    Account,
    S3Server,
    free_port,
    profiles_file,
)
from wrong_use import environment

import runners.boot_checks
from runners.boot_checks import (
    NO_SCRATCH,
    NOT_STARTED,
    NOT_VISIBLE,
    BootError,
    check_machine,
    is_told_to_stop,
    read_report,
    tell_to_stop,
)
from runners.boot_order import VARIABLE, BootOrder, program_facts
from runners.worker_boot import START_SECONDS

Boot = Callable[..., tuple[int, str]]
Profile = Callable[[Account, str], None]
_BOOT = """
import sys, runners.worker_boot
runners.worker_boot.START_SECONDS = {seconds}
sys.exit(runners.worker_boot.main())
"""
_HANGING_WORKER = """
import sys, time
if "runners.cluster_worker" in sys.orig_argv:
    print("waiting for a server", flush=True)
    time.sleep(100)
"""
_TALKING_WORKER = """
import sys
if "runners.cluster_worker" in sys.orig_argv:
    print("more than the disk and a pipe hold " * 100000, flush=True)
"""


@pytest.fixture
def order(tmp_path: Path) -> BootOrder:
    """Return an order that this machine can carry out."""
    (tmp_path / "reports").mkdir()
    return BootOrder(
        program=dict(program_facts()),
        scratch_path=str(tmp_path / "scratch"),
        reports=str(tmp_path / "reports"),
    )


@pytest.fixture
def boot(tmp_path: Path) -> Boot:
    """Return a function that runs the boot program and returns its exit status and its log."""
    for name in ("locks", "logs"):
        (tmp_path / name).mkdir()

    def run(
        order: BootOrder, more: Mapping[str, str] | None = None, *, seconds: float = START_SECONDS
    ) -> tuple[int, str]:
        variables = {
            VARIABLE: order.to_json(),
            "XDG_RUNTIME_DIR": str(tmp_path / "locks"),
            "BEAM_CURATE_LOGS": str(tmp_path / "logs"),
            **(more or {}),
        }
        endpoints = [f"--{name}_endpoint=127.0.0.1:1" for name in ("provision", "control")]
        result = subprocess.run(
            [sys.executable, "-c", _BOOT.format(seconds=seconds), "--id=1-1", *endpoints],
            env=environment(variables),
            capture_output=True,
            text=True,
            check=False,
            timeout=50,
        )
        assert result.stderr == ""
        logs = Path(variables["BEAM_CURATE_LOGS"]).glob("worker-*.log")
        return result.returncode, "".join(log.read_text() for log in logs)

    return run


@contextlib.contextmanager
def _mounted(disk: Path, options: str) -> Iterator[Path]:
    """Mount a disk, where this user may mount."""
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("this user may not mount a disk")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a disk of one MiB."""
    with _mounted(tmp_path / "tiny", "size=1m") as disk:
        yield disk


@pytest.fixture
def profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Profile:
    """Return a function that gives this process an account of a store at an address."""

    def use(account: Account, address: str) -> None:
        # Clients are kept by the name of the file.
        path = tmp_path / f"profiles-{account.secret}"
        profiles_file(path, {"default": (account, address)})
        monkeypatch.setenv("COSMOS_S3_PROFILE_PATH", str(path))

    return use


def _prelude(folder: Path, code: str) -> dict[str, str]:
    """Return variables with which every Python process runs this code first."""
    (folder / "sitecustomize.py").write_text(code)
    return {"PYTHONPATH": str(folder)}


class TestRefused:
    def test_scratch_that_is_there_and_read_only(
        self, boot: Boot, order: BootOrder, tmp_path: Path
    ) -> None:
        # Its root is there and has room, but nobody makes folders in it.
        with _mounted(tmp_path / "ro", "ro,size=1g") as disk:
            status, log = boot(dataclasses.replace(order, scratch_path=str(disk)))
        assert status == NO_SCRATCH
        assert f"scratch folder {disk}/" in log
        assert "Read-only file system" in log
        assert "name another one with --scratch_path" in str(read_report(order.reports))

    def test_a_log_folder_that_is_a_file(self, boot: Boot, order: BootOrder) -> None:
        status, _ = boot(order, {"BEAM_CURATE_LOGS": __file__})
        assert status == NOT_STARTED
        assert "its log cannot be written" in str(read_report(order.reports))

    def test_a_store_without_credentials(
        self, boot: Boot, order: BootOrder, tmp_path: Path
    ) -> None:
        lease = "s3://bucket/out/lease.json"
        missing = {"COSMOS_S3_PROFILE_PATH": str(tmp_path / "no-such-file")}
        status, log = boot(dataclasses.replace(order, visible=(lease,)), missing)
        assert status == NOT_VISIBLE
        assert f"{lease}: cannot be read on " in log
        assert "no-such-file: there is no such file" in log


class TestHanging:
    def test_a_look_that_never_returns(self, boot: Boot, order: BootOrder, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "fifo")
        hanging = dataclasses.replace(order, visible=("s3://bucket/out/lease.json",))
        variables = {"COSMOS_S3_PROFILE_PATH": str(tmp_path / "fifo")}
        status, _ = boot(hanging, variables, seconds=1.0)
        assert status == NOT_STARTED
        told = "did not start within 1 s: it hung while its machine was checked"
        assert told in str(read_report(order.reports))

    def test_a_worker_that_never_starts(self, boot: Boot, order: BootOrder, tmp_path: Path) -> None:
        status, log = boot(order, _prelude(tmp_path, _HANGING_WORKER), seconds=2.0)
        assert status == NOT_STARTED
        assert "it hung while its Python imported this program; waiting for a server" in log
        assert list(Path(str(order.scratch_path)).iterdir()) == [], "its scratch folder"

    def test_a_log_without_room_stops_no_worker(
        self, boot: Boot, order: BootOrder, tiny_disk: Path, tmp_path: Path
    ) -> None:
        variables = _prelude(tmp_path, _TALKING_WORKER) | {"BEAM_CURATE_LOGS": str(tiny_disk)}
        status, log = boot(order, variables, seconds=30.0)
        assert status == NOT_STARTED
        assert 0 < len(log) <= 1 << 20, "the disk was full"
        # It got through all that it had to say, to the port on which nobody listens.
        assert "ended with status 1 while it started" in str(read_report(order.reports))


@pytest.mark.store
class TestStores:
    """What a boot program looks at in a store."""

    @pytest.fixture(autouse=True)
    def patience(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(runners.boot_checks, "_PATIENCE_SECONDS", 0.0)

    def test_a_folder_and_an_object_are_there(
        self, profile: Profile, s3_server: S3Server, order: BootOrder
    ) -> None:
        profile(OWNER, s3_server.address)
        bucket = _bucket(s3_server)
        for name in ("", "/raw", "/raw/a.mp4"):
            check_machine(_looking(f"s3://{bucket}{name}", order))
        with pytest.raises(BootError, match=r"/ra: is not there") as caught:
            check_machine(_looking(f"s3://{bucket}/ra", order))
        assert caught.value.status == NOT_VISIBLE

    def test_one_who_may_list_but_not_read(
        self, profile: Profile, s3_server: S3Server, order: BootOrder
    ) -> None:
        profile(OTHER, s3_server.address)
        bucket = _bucket(s3_server)
        s3_server.allow(bucket, LIST)
        with pytest.raises(BootError, match=r"raw: cannot be read on .*may not do this") as caught:
            check_machine(_looking(f"s3://{bucket}/raw", order))
        assert caught.value.status == NOT_VISIBLE
        s3_server.allow(bucket, LIST + READ)
        check_machine(_looking(f"s3://{bucket}/raw", order))

    @pytest.mark.parametrize("kind", ["wrong key", "nobody answers"])
    def test_a_store_that_refuses_all(
        self, kind: str, profile: Profile, s3_server: S3Server, order: BootOrder
    ) -> None:
        if kind == "wrong key":
            profile(WRONG_SECRET, s3_server.address)
        else:
            profile(OWNER, f"http://127.0.0.1:{free_port()}")
        with pytest.raises(BootError, match="cannot be read on") as caught:
            check_machine(_looking(f"s3://{_bucket(s3_server)}/raw", order))
        assert caught.value.status == NOT_VISIBLE

    def test_a_store_that_is_away_for_a_moment_is_waited_for(
        self,
        profile: Profile,
        s3_server: S3Server,
        order: BootOrder,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(runners.boot_checks, "_PATIENCE_SECONDS", 20.0)
        with FaultProxy(s3_server.port) as proxy:
            profile(OWNER, proxy.address)
            # More than one look's attempts.
            away = proxy.add("", SLOW_DOWN, count=3)
            check_machine(_looking(f"s3://{_bucket(s3_server)}/raw", order))
            assert away.done == 3

    def test_a_store_that_is_away_tells_nothing_and_ends_nothing(
        self, profile: Profile, s3_server: S3Server
    ) -> None:
        folder = f"s3://{s3_server.new_bucket()}/running/workers"
        with FaultProxy(s3_server.port) as proxy:
            profile(OWNER, proxy.address)
            with proxy.rule("", SLOW_DOWN, count=None):
                tell_to_stop(folder)
                assert not is_told_to_stop(folder)
                assert len(proxy.requests) >= 2
            tell_to_stop(folder)
            assert is_told_to_stop(folder)


def _bucket(server: S3Server) -> str:
    bucket = server.new_bucket()
    server.client().put_object(Bucket=bucket, Key="raw/a.mp4", Body=b"0")
    return bucket


def _looking(uri: str, order: BootOrder) -> BootOrder:
    return dataclasses.replace(order, visible=(uri,))
