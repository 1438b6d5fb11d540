"""The lease in an S3 store: conditional writes decide, and the store's clock tells its age."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fault_rules import Answer, ResetBefore
from store_servers import OWNER, S3Server, profiles_file
from store_worlds import s3_behind_proxy
from wrong_use import environment

import transforms.heartbeat
from transforms.errors import PreflightError
from transforms.heartbeat import renew
from transforms.layout import lease_uri
from transforms.lease import (
    LeaseLostError,
    hold_lease,
    lease_holder,
    raise_if_held,
    raise_if_lost,
)
from transforms.lease_file import lease_bytes, new_holder, read_lease
from transforms.storage.open_storage import storage_for

pytestmark = pytest.mark.store

HOLD = """
import sys, time
from transforms.errors import PreflightError
from transforms.lease import hold_lease
sys.stdin.readline()
try:
    with hold_lease(sys.argv[1], sys.argv[2], dead_after_seconds=float(sys.argv[3])):
        print("held", flush=True)
        time.sleep(600)
except PreflightError as error:
    print("refused", error, flush=True)
"""


@pytest.fixture
def uri(s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return a lease in a new bucket."""
    file = profiles_file(tmp_path / "profiles", {"default": (OWNER, s3_server.address)})
    monkeypatch.setenv("COSMOS_S3_PROFILE_PATH", str(file))
    return lease_uri(f"s3://{s3_server.new_bucket()}/out")


@contextlib.contextmanager
def waiting(uri: str, run_id: str, dead_after: float = 60) -> Iterator[subprocess.Popen[str]]:
    """Run a process that takes the lease when it is told to."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, uri, run_id, str(dead_after)],
        env=environment({}),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def tell(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def answer(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def write_foreign(uri: str, run_id: str = "foreign") -> None:
    """Write the lease of a run on another machine."""
    holder = new_holder(run_id)
    process = dataclasses.replace(holder.process, host="elsewhere", boot_id="another")
    storage_for(uri).write(uri, lease_bytes(dataclasses.replace(holder, process=process)))


def keys(uri: str) -> list[str]:
    root = uri.removesuffix("/.work/lease.json")
    return [found.uri.removeprefix(root) for found in storage_for(uri).list(root)]


def test_it_is_given_back_and_leaves_nothing(uri: str) -> None:
    with hold_lease(uri, "run"):
        assert keys(uri) == ["/.work/lease.json"]
        holder = lease_holder(uri)
        assert holder is not None
        assert holder.run_id == "run"
    assert keys(uri) == []


def test_of_runs_that_start_at_the_same_time_one_gets_it(uri: str) -> None:
    with waiting(uri, "one") as one, waiting(uri, "two") as two, waiting(uri, "three") as three:
        for process in (one, two, three):
            tell(process)
        told = sorted(answer(process) for process in (one, two, three))
    assert told[0] == "held\n"
    for line in told[1:]:
        assert line.startswith("refused s3://")
        assert "works here, heard of" in line


def test_a_killed_one_s_is_taken_over_by_one(uri: str) -> None:
    with waiting(uri, "first") as first:
        tell(first)
        assert answer(first) == "held\n"
        first.kill()
        first.wait()
    with waiting(uri, "one") as one, waiting(uri, "two") as two:
        for process in (one, two):
            tell(process)
        told = sorted(answer(process).split(" ")[0].strip() for process in (one, two))
    assert told == ["held", "refused"]


def test_one_of_another_machine_is_dead_when_the_store_s_clock_says_so(uri: str) -> None:
    write_foreign(uri)
    with (
        pytest.raises(PreflightError, match=r"on elsewhere, .*heard of \d+ s ago"),
        hold_lease(uri, "run", dead_after_seconds=30),
    ):
        pytest.fail("it was taken from a run that may live")
    # The store tells whole seconds.
    time.sleep(3)
    with hold_lease(uri, "run", dead_after_seconds=1):
        found = read_lease(uri)
        assert found is not None
        assert found.holder.run_id == "run"


def test_each_heartbeat_is_another_version_and_makes_it_young(
    uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transforms.heartbeat, "BEAT_SECONDS", 0.2)
    with hold_lease(uri, "run"):
        first = read_lease(uri)
        assert first is not None
        versions, modified = {first.version}, first.modified_at
        deadline = time.monotonic() + 20
        while len(versions) < 4 or modified < first.modified_at + 1:
            assert time.monotonic() < deadline
            found = read_lease(uri)
            assert found is not None
            assert found.holder == first.holder
            versions.add(found.version)
            modified = found.modified_at
            time.sleep(0.1)


def test_who_loses_it_commits_nothing_more(uri: str) -> None:
    with hold_lease(uri, "run"):
        raise_if_lost(uri, "run")
        write_foreign(uri)
        assert not renew(uri, "run")
        with pytest.raises(LeaseLostError, match="foreign"):
            raise_if_lost(uri, "run")
    found = read_lease(uri)
    assert found is not None
    assert found.holder.run_id == "foreign", "it is not given back by who has lost it"


def test_a_beat_that_comes_between_reading_and_taking_over_keeps_it(uri: str) -> None:
    write_foreign(uri)
    found = read_lease(uri)
    assert found is not None
    write_foreign(uri)
    taken = storage_for(uri).replace_if(uri, lease_bytes(new_holder("taker")), found.version)
    assert not taken


def test_one_whose_removal_the_store_refuses_is_free_at_once(
    s3_server: S3Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with s3_behind_proxy(tmp_path, s3_server) as store:
        file = store.variables(tmp_path)["COSMOS_S3_PROFILE_PATH"]
        monkeypatch.setenv("COSMOS_S3_PROFILE_PATH", file)
        uri = lease_uri(f"{store.new_root()}/out")
        with store.proxy.rule("DELETE ", Answer(403), count=None), hold_lease(uri, "ended"):
            pass
        assert "the lease could not be given back" in caplog.text
        assert json.loads(store.get(uri))["given_back"] is True
        assert lease_holder(uri) is None
        raise_if_held(uri)
        began_at = time.monotonic()
        with hold_lease(uri, "next"):
            assert time.monotonic() - began_at < 10, "not when its age says so"
            assert json.loads(store.get(uri))["run_id"] == "next"
        assert store.keys(uri) == []


@pytest.mark.parametrize("num_resets", [2, 4])
def test_a_removal_that_comes_late_meets_no_other_lease(
    s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, num_resets: int
) -> None:
    with s3_behind_proxy(tmp_path, s3_server) as store:
        file = store.variables(tmp_path)["COSMOS_S3_PROFILE_PATH"]
        monkeypatch.setenv("COSMOS_S3_PROFILE_PATH", file)
        uri = lease_uri(f"{store.new_root()}/out")
        # The connection breaks before the store has seen it: it is sent again, later, also when
        # the next run no longer waits for the removal.
        with store.proxy.rule("DELETE ", ResetBefore(), count=num_resets):
            ending = threading.Thread(target=_hold_for_a_moment, args=(uri, "ended"))
            ending.start()
            while not any(one.method == "DELETE" for one in store.proxy.requests):
                time.sleep(0.005)
            with hold_lease(uri, "next"):
                ending.join()
                assert json.loads(store.get(uri))["run_id"] == "next"
                assert renew(uri, "next")
                raise_if_lost(uri, "next")


def test_a_store_without_a_condition_for_removing_removes_it(
    s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with s3_behind_proxy(tmp_path, s3_server) as store:
        file = store.variables(tmp_path)["COSMOS_S3_PROFILE_PATH"]
        monkeypatch.setenv("COSMOS_S3_PROFILE_PATH", file)
        uri = lease_uri(f"{store.new_root()}/out")
        with store.proxy.rule("DELETE ", Answer(501)):
            _hold_for_a_moment(uri, "ended")
        assert store.keys(uri) == []


def _hold_for_a_moment(uri: str, run_id: str) -> None:
    with hold_lease(uri, run_id):
        pass
