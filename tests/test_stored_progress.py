"""Counters in an object store: none is lost, and a store that is away ends nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fault_proxy import FaultProxy
from store_faults import SLOW_DOWN
from store_servers import OWNER, S3Server, profiles_file
from wrong_use import environment

import transforms.progress
from beam_pipeline.preparation.run_place import remove_shared
from transforms.progress import TotalsReader, count, flush_counts, read_totals
from transforms.storage import s3_client
from transforms.storage.interface import StoreAwayError

pytestmark = pytest.mark.store

_BUNDLE = """
import os, signal, sys
import apache_beam as beam
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from runners.local_worker import count_at_bundle_ends
from transforms.progress import count

def counted(number, folder):
    count(folder, clips_written=number)

count_at_bundle_ends()
with beam.Pipeline(runner=FnApiRunner()) as root:
    _ = root | beam.Create([1, 2, 4]) | beam.Map(counted, sys.argv[1])
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def store(
    tmp_path: Path, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FaultProxy]:
    """Point this process at a store behind a proxy, with clients that give up at once."""
    monkeypatch.setattr(s3_client, "MAX_ATTEMPTS", 1)
    with FaultProxy(s3_server.port) as proxy:
        path = profiles_file(tmp_path / "profiles", {"default": (OWNER, proxy.address)})
        monkeypatch.setenv("COSMOS_S3_PROFILE_PATH", str(path))
        yield proxy


@pytest.fixture
def folder(s3_server: S3Server) -> str:
    return f"s3://{s3_server.new_bucket()}/running/progress"


def test_a_store_that_is_away_loses_no_counts(store: FaultProxy, folder: str) -> None:
    with store.rule("PUT", SLOW_DOWN, count=None) as away:
        count(folder, clips_written=1)
        count(folder, clips_written=2)
        flush_counts()
        assert away.done
    assert read_totals(folder) == {}
    flush_counts()
    assert read_totals(folder) == {"clips_written": 3}


def test_nothing_unwritten_is_no_request(store: FaultProxy, folder: str) -> None:
    count(folder, clips_written=1)
    count(folder, clips_written=1)
    flush_counts()
    assert store.requests
    store.clear()
    flush_counts()
    assert store.requests == []


def test_a_reader_tells_the_last_numbers_while_the_store_is_away(
    store: FaultProxy, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transforms.progress, "READ_EVERY_SECONDS", 0.0)
    count(folder, clips_written=1)
    flush_counts()
    reader = TotalsReader(folder)
    assert reader.read() == {"clips_written": 1}
    with store.rule("GET", SLOW_DOWN, count=None) as away:
        assert reader.read() == {"clips_written": 1}
        assert away.done
        with pytest.raises(StoreAwayError):
            read_totals(folder)


def test_shared_folders_stay_when_the_store_is_away(
    store: FaultProxy, folder: str, caplog: pytest.LogCaptureFixture
) -> None:
    count(folder, clips_written=1)
    flush_counts()
    lease = f"{folder.rpartition('/running')[0]}/lease.json"
    with store.rule("GET", SLOW_DOWN, count=None):
        remove_shared(lease)
    assert "counters of a run could not be removed" in caplog.text
    assert read_totals(folder) == {"clips_written": 1}
    remove_shared(lease)
    assert read_totals(folder) == {}


def test_a_bundle_that_has_ended_has_written_its_counts(store: FaultProxy, folder: str) -> None:
    """Workers of a cluster are killed when their last bundle has ended."""
    store.clear()
    result = subprocess.run(
        [sys.executable, "-c", _BUNDLE, folder],
        env=environment(os.environ),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert result.returncode == -signal.SIGKILL, result.stderr
    assert read_totals(folder) == {"clips_written": 7}
    # The first count, and the end of the bundle: not one for each.
    assert len([one for one in store.requests if one.method == "PUT"]) == 2
