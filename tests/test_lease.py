"""One run at a time works in an output: a dead one's lease is taken over, a lost one stops it."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from make_video import VideoSpec, make_video
from wrong_use import environment, listing, split, use, use_process

import transforms.heartbeat
import transforms.lease
from transforms.errors import PreflightError
from transforms.heartbeat import renew
from transforms.layout import lease_uri
from transforms.lease import (
    Heartbeat,
    LeaseLostError,
    hold_lease,
    lease_holder,
    raise_if_held,
    raise_if_lost,
)
from transforms.lease_file import lease_bytes, new_holder, read_lease
from transforms.shards.layout import version_lease_uri
from transforms.storage.open_storage import storage_for

Capture = pytest.CaptureFixture[str]

HOLD = """
import sys, time
from transforms.lease import hold_lease
with hold_lease(sys.argv[1], "first"):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lease") / "raw"
    folder.mkdir()
    make_video(folder / "a.mp4", VideoSpec(seconds=2, size=(96, 64)))
    return folder


@pytest.fixture
def uri(tmp_path: Path) -> str:
    return lease_uri(str(tmp_path / "out"))


@contextlib.contextmanager
def holding(uri: str) -> Iterator[subprocess.Popen[str]]:
    """Let another process hold a lease."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, uri],
        env=environment({}),
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def write_foreign(uri: str, run_id: str = "foreign", **changes: str) -> None:
    """Write the lease of a run on another machine, as that would: whole, and in its turn."""
    holder = new_holder(run_id)
    process = dataclasses.replace(holder.process, **{"host": "elsewhere", **changes})
    content = lease_bytes(dataclasses.replace(holder, process=process))
    storage = storage_for(uri)
    while not storage.create_if_absent(uri, content):
        if storage.replace_if(uri, content, storage.stat(uri).version):
            return


def write_given_back(uri: str, run_id: str) -> None:
    """Write what a run leaves that ended before it could remove its lease."""
    storage_for(uri).write(uri, lease_bytes(new_holder(run_id), is_given_back=True))


def names(folder: Path) -> set[str]:
    """Return what lies below the folder, less what a heartbeat is just writing."""
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
    return {name for name in found if "/.tmp-" not in name}


class TestLive:
    def test_a_second_run_is_refused_within_five_seconds(self, raw: Path, tmp_path: Path) -> None:
        out = tmp_path / "out"
        with holding(lease_uri(str(out))) as first:
            before = names(out)
            started_at = time.monotonic()
            ended = use_process(*split(raw, out, "--overwrite"))
            seconds = time.monotonic() - started_at
            assert names(out) == before, "nothing is written, nothing removed"
        assert ended.status == 1
        ended.told(str(out), "run first", f"process {first.pid} on ", "wait until", "or end it")
        assert re.search(r"heard of \d+ s ago", ended.err)
        assert seconds < 5

    def test_a_dataset_that_is_in_work_is_refused(
        self, raw: Path, tmp_path: Path, capsys: Capture
    ) -> None:
        out, dataset = tmp_path / "processed", tmp_path / "webdataset"
        with holding(version_lease_uri(str(dataset), "v0")):
            arguments = split(raw, out, "--output_dataset_path", dataset)
            ended = use(capsys, "curate", *arguments[1:])
            assert ended.status == 1
            ended.told(str(dataset), "run first")
            assert not out.exists(), "the other lease was given back"
        assert use(capsys, "curate", *arguments[1:]).status == 0
        shard = ["shard", "--input_clip_path", out, "--output_dataset_path", dataset]
        with holding(version_lease_uri(str(dataset), "v0")):
            assert use(capsys, *shard).status == 1
        with holding(lease_uri(str(out))), holding(version_lease_uri(str(dataset), "v1")):
            assert use(capsys, *shard).status == 0, "it only reads the one, and not the other"

    def test_the_holder_is_named_while_it_lives(self, uri: str) -> None:
        assert lease_holder(uri) is None
        with holding(uri) as first:
            holder = lease_holder(uri)
            assert holder is not None
            assert (holder.run_id, holder.process.pid) == ("first", first.pid)
            first.kill()
            first.wait()
            assert lease_holder(uri) is None
        assert Path(uri).exists(), "looking changes nothing"


class TestGivenBack:
    def test_after_success_error_and_interruption(
        self, raw: Path, tmp_path: Path, capsys: Capture
    ) -> None:
        out = tmp_path / "out"
        assert use(capsys, *split(raw, out)).status == 0
        assert not Path(lease_uri(str(out))).exists()
        changed = use(capsys, *split(raw, out, "--fixed_stride_split_duration", "2"))
        assert changed.status != 0
        assert not Path(lease_uri(str(out))).exists()

    @pytest.mark.parametrize("error", [KeyboardInterrupt, PreflightError])
    def test_when_the_run_ends_by_itself(
        self, error: type[BaseException], uri: str, tmp_path: Path
    ) -> None:
        def run() -> None:
            with hold_lease(uri, "run"):
                assert Path(uri).exists()
                raise error

        with pytest.raises(error):
            run()
        assert listing(tmp_path) == {}, "the folders that were made for it are gone too"

    def test_not_when_another_run_has_it(self, uri: str) -> None:
        with hold_lease(uri, "run"):
            write_foreign(uri)
        found = read_lease(uri)
        assert found is not None
        assert found.holder.run_id == "foreign"

    def test_one_that_was_not_removed_is_nobody_s(
        self, uri: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(transforms.lease, "GIVING_BACK_SECONDS", 0.3)
        write_given_back(uri, "ended")
        assert lease_holder(uri) is None
        raise_if_held(uri)
        before = Path(uri).read_bytes()
        assert renew(uri, "ended")
        assert Path(uri).read_bytes() == before, "no beat brings it to life"
        with hold_lease(uri, "run"):
            holder = lease_holder(uri)
            assert holder is not None
            assert holder.run_id == "run"

    def test_who_comes_while_it_is_removed_gets_one_that_stays(self, uri: str) -> None:
        write_given_back(uri, "ended")
        held, done = threading.Event(), threading.Event()

        def take() -> None:
            with hold_lease(uri, "run"):
                held.set()
                done.wait(30)

        taker = threading.Thread(target=take)
        taker.start()
        try:
            assert not held.wait(0.5)
            found = read_lease(uri)
            assert found is not None
            assert found.holder.run_id == "ended"
            # The ended run's own removal comes late.
            Path(uri).unlink()
            assert held.wait(2)
            found = read_lease(uri)
            assert found is not None
            assert (found.holder.run_id, found.is_given_back) == ("run", False)
        finally:
            done.set()
            taker.join()

    def test_interrupted_by_signals(self, raw: Path, tmp_path: Path) -> None:
        out = tmp_path / "out"
        process = subprocess.Popen(
            [sys.executable, "-m", "beam_pipeline", *map(str, split(raw, out))],
            env=environment({}),
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            while not Path(lease_uri(str(out))).exists():
                assert process.poll() is None
                time.sleep(0.005)
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 130
        finally:
            process.kill()
        assert not Path(lease_uri(str(out))).exists()


class TestDead:
    def test_that_of_a_killed_process_is_taken_over_at_once_and_swept(
        self, raw: Path, tmp_path: Path, capsys: Capture
    ) -> None:
        out, scratch = tmp_path / "out", tmp_path / "scratch"
        with holding(lease_uri(str(out))) as first:
            first.kill()
            first.wait()
        swept = [out / ".tmp-1", out / "clips" / ".tmp-2", out / "metas" / "v0" / ".tmp-3"]
        swept.append(out / ".work" / "staging" / ".tmp-4" / "video.tar")
        kept = [out / "mine" / ".tmp-5", raw / ".tmp-6", out / "clips" / "tmp-7"]
        for path in (*swept, *kept):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"x")
        ended = use(capsys, *split(raw, out, "--scratch_path", scratch))
        assert ended.status == 0
        assert [path for path in swept if path.exists()] == []
        assert [path for path in kept if not path.exists()] == []
        (raw / ".tmp-6").unlink()

    def test_a_number_used_again_is_another_process(self, uri: str) -> None:
        write_foreign(uri, process_start="1")
        with hold_lease(uri, "run"):
            pass

    @pytest.mark.parametrize("what", ["boot_id", "pid_namespace"])
    def test_one_of_another_machine_or_container_is_judged_by_its_age(
        self, what: str, uri: str
    ) -> None:
        # The process is surely gone here, but that says nothing of its own machine.
        write_foreign(uri, **{what: "another", "process_start": "1"})
        with pytest.raises(PreflightError, match=r"run foreign .* on elsewhere"):
            hold_lease(uri, "run").__enter__()
        os.utime(uri, (time.time() - 50, time.time() - 50))
        with pytest.raises(PreflightError, match=r"heard of 5. s ago"):
            hold_lease(uri, "run").__enter__()
        with hold_lease(uri, "run", dead_after_seconds=40):
            pass
        write_foreign(uri, **{what: "another"})
        os.utime(uri, (time.time() - 70, time.time() - 70))
        with hold_lease(uri, "run"):
            pass

    def test_no_clock_but_the_store_s_counts(
        self, uri: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write_foreign(uri, boot_id="another")
        monkeypatch.setattr(time, "time", lambda: 0.0)
        assert lease_holder(uri) is not None
        monkeypatch.setattr(time, "time", lambda: 1e12)
        assert lease_holder(uri) is not None

    def test_what_cannot_be_understood_is_judged_by_its_age(self, uri: str) -> None:
        Path(uri).parent.mkdir(parents=True)
        Path(uri).write_text("[[")
        with pytest.raises(PreflightError, match="run unknown"):
            hold_lease(uri, "run").__enter__()
        os.utime(uri, (1, 1))
        with hold_lease(uri, "run"):
            pass

    def test_of_many_takers_one_wins(self, uri: str) -> None:
        write_foreign(uri, process_start="1")
        barrier, done = threading.Barrier(8), threading.Event()
        won: list[str] = []
        refused: list[str] = []

        def take(run_id: str) -> None:
            barrier.wait()
            try:
                with hold_lease(uri, run_id):
                    won.append(run_id)
                    done.wait(30)
            except PreflightError as error:
                refused.append(str(error))
                if len(refused) == 7:
                    done.set()

        takers = [threading.Thread(target=take, args=(f"run{i}",)) for i in range(8)]
        for taker in takers:
            taker.start()
        for taker in takers:
            taker.join()
        assert len(won) == 1
        assert all(f"run {won[0]} " in message for message in refused)
        assert len(refused) == 7


class TestHeartbeat:
    def test_it_makes_the_lease_young(self, uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(transforms.heartbeat, "BEAT_SECONDS", 0.05)
        with hold_lease(uri, "run"):
            before = json.loads(Path(uri).read_bytes())
            os.utime(uri, (1, 1))
            deadline = time.monotonic() + 10
            while Path(uri).stat().st_mtime == 1:
                assert time.monotonic() < deadline
                time.sleep(0.01)
            after = json.loads(Path(uri).read_bytes())
            assert after.pop("beat") != before.pop("beat"), "a store tells versions by content"
            assert after == before

    def test_a_worker_s_renews_where_the_driver_is_gone_and_ends_with_its_bundle(
        self, uri: str
    ) -> None:
        write_foreign(uri, "run", boot_id="another")
        os.utime(uri, (1, 1))
        beat = Heartbeat(uri, "run")
        beat.start()
        beat.start()
        deadline = time.monotonic() + 10
        while Path(uri).stat().st_mtime == 1:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        holder = lease_holder(uri)
        assert holder is not None
        assert holder.process.host == "elsewhere", "the holder stays the driver"
        assert "lease" in {thread.name for thread in threading.enumerate()}
        beat.stop()
        beat.stop()
        assert "lease" not in {thread.name for thread in threading.enumerate()}

    def test_a_given_back_lease_is_not_made_again(self, uri: str) -> None:
        assert renew(uri, "run")
        assert not Path(uri).exists()

    def test_one_that_was_taken_stops_the_next_commit(self, uri: str) -> None:
        with hold_lease(uri, "run"):
            raise_if_lost(uri, "run")
            write_foreign(uri, "taker")
            assert not renew(uri, "run")
            with pytest.raises(LeaseLostError, match=r"run taker .* on elsewhere"):
                raise_if_lost(uri, "run")
            raise_if_lost(uri, "another run")

    def test_one_whose_taker_has_finished_is_lost(self, uri: str) -> None:
        write_foreign(uri, "overtaken")
        assert renew(uri, "overtaken")
        write_foreign(uri, "taker")
        Path(uri).unlink()
        assert not renew(uri, "overtaken")
        with pytest.raises(LeaseLostError, match="overtaken does not have it any more"):
            raise_if_lost(uri, "overtaken")

    def test_one_whose_taker_gives_it_back_is_lost(self, uri: str) -> None:
        write_foreign(uri, "overtaken")
        assert renew(uri, "overtaken")
        write_given_back(uri, "taker")
        assert not renew(uri, "overtaken")
        with pytest.raises(LeaseLostError, match="run taker"):
            raise_if_lost(uri, "overtaken")

    def test_a_driver_s_that_is_gone_is_lost(self, uri: str) -> None:
        with hold_lease(uri, "bereft"):
            deadline = time.monotonic() + 10
            while renew(uri, "bereft"):
                assert time.monotonic() < deadline
                # Again: a beat that has just begun may write it once more.
                Path(uri).unlink(missing_ok=True)
            with pytest.raises(LeaseLostError, match="bereft does not have it any more"):
                raise_if_lost(uri, "bereft")

    def test_a_worker_whose_driver_gave_it_back_has_lost_it(self, uri: str) -> None:
        write_foreign(uri, "driven", boot_id="another")
        assert renew(uri, "driven")
        raise_if_lost(uri, "driven")
        write_given_back(uri, "driven")
        assert not renew(uri, "driven")
        with pytest.raises(LeaseLostError, match="the run was ended"):
            raise_if_lost(uri, "driven")

    def test_one_that_the_run_gave_back_is_not_lost(self, uri: str) -> None:
        with hold_lease(uri, "finished"):
            assert renew(uri, "finished")
        assert renew(uri, "finished")
        raise_if_lost(uri, "finished")


def test_a_run_whose_lease_is_taken_stops_and_leaves_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    raw, out = tmp_path / "raw", tmp_path / "out"
    raw.mkdir()
    make_video(raw / "long.mp4", VideoSpec(seconds=30, size=(320, 192)))
    monkeypatch.setattr(transforms.heartbeat, "BEAT_SECONDS", 0.02)
    uri = lease_uri(str(out))

    def take() -> None:
        while not list(out.glob("metas/v0/*.json")):
            time.sleep(0.01)
        write_foreign(uri, "taker")

    taker = threading.Thread(target=take, daemon=True)
    taker.start()
    ended = use(capsys, *split(raw, out))
    taker.join()
    assert ended.status == 1
    ended.told("run taker", "has taken over this output")
    assert len(list(out.glob("metas/v0/*.json"))) < 30
    assert json.loads(Path(uri).read_text())["run_id"] == "taker"
