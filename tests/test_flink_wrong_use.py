"""Flink asked for wrongly: told before anything is written, in ten seconds, with what to do."""

from __future__ import annotations

import importlib
import socket
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from apache_beam.utils.subprocess_server import JavaJarServer
from flink_stub import OVERVIEW, Answers, answering
from make_video import VideoSpec, make_video
from wrong_use import Ended, split, use

import runners.flink_checks
from runners.flink_checks import _download
from transforms.errors import PreflightError

Capture = pytest.CaptureFixture[str]
Wrong = Callable[..., Ended]


@pytest.fixture
def flink() -> Iterator[Answers]:
    with answering() as answers:
        yield answers


@pytest.fixture
def jar(tmp_path: Path) -> Path:
    """Return what looks like a job server for Flink 1.19."""
    path = tmp_path / "job-server.jar"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(".flink-runtime.version.properties", "project.version=1.19.0\n")
    return path


@pytest.fixture
def wrong(tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> Wrong:
    """Return a function that runs ``split`` on Flink with more options; nothing may be written."""
    raw, out = tmp_path / "raw", tmp_path / "out"
    raw.mkdir()
    make_video(raw / "a.mp4", VideoSpec(seconds=1))
    # Neither a cache nor a build of this user's is to be found.
    monkeypatch.setenv("HOME", str(tmp_path / "home"))

    # Not of the ten seconds that the checks may take: on a busy machine it takes as long.
    importlib.import_module("apache_beam")

    def run(*options: str | Path) -> Ended:
        started_at = time.monotonic()
        ended = use(capsys, *split(raw, out, "--runner=FlinkRunner", *options))
        assert time.monotonic() - started_at < 10
        assert not out.exists()
        return ended

    return run


def test_no_address(wrong: Wrong) -> None:
    ended = wrong()
    assert ended.status == 2
    ended.told("--flink_master HOST:PORT")


def test_nobody_there(wrong: Wrong) -> None:
    ended = wrong("--flink_master=127.0.0.1:1")
    assert ended.status == 1
    ended.told("--flink_master=127.0.0.1:1", "Connection refused", "start the cluster")


def test_somebody_who_never_answers(wrong: Wrong) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        ended = wrong(f"--flink_master=127.0.0.1:{silent.getsockname()[1]}")
    assert ended.status == 1
    ended.told("no answer (timed out)")


def test_something_else_is_there(wrong: Wrong, flink: Answers) -> None:
    flink.by_path.clear()
    ended = wrong(f"--flink_master={flink.address}")
    assert ended.status == 1
    ended.told(f"--flink_master={flink.address}", "answered 404")


def test_another_json_service_is_there(wrong: Wrong, flink: Answers) -> None:
    flink.by_path["/config"] = {"version": 1}
    ended = wrong(f"--flink_master={flink.address}")
    assert ended.status == 1
    ended.told("is not Flink's REST interface")


def test_a_proxy_is_not_asked(
    wrong: Wrong, flink: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "")
    wrong(f"--flink_master={flink.address}", "--flink_version=1.20").told("is Flink 1.19")


def test_another_version_asked_for(wrong: Wrong, flink: Answers) -> None:
    ended = wrong(f"--flink_master={flink.address}", "--flink_version=1.20")
    assert ended.status == 2
    ended.told("--flink_version=1.20", "is Flink 1.19")


def test_a_jar_for_another_flink(wrong: Wrong, flink: Answers, jar: Path) -> None:
    flink.by_path["/config"] = {"flink-version": "1.20.5"}
    ended = wrong(f"--flink_master={flink.address}", f"--flink_job_server_jar={jar}")
    assert ended.status == 1
    ended.told(str(jar), "is made for Flink 1.19", "the cluster is Flink 1.20", "Maven Central")


def test_a_jar_that_is_not_there(wrong: Wrong, flink: Answers, tmp_path: Path) -> None:
    jar = tmp_path / "none.jar"
    ended = wrong(f"--flink_master={flink.address}", f"--flink_job_server_jar={jar}")
    assert ended.status == 1
    ended.told(f"--flink_job_server_jar={jar}", "there is no such file", "mvn -B -f", "pom.xml")


def test_a_jar_that_is_none(wrong: Wrong, flink: Answers, tmp_path: Path) -> None:
    (tmp_path / "text.jar").write_text("no archive")
    ended = wrong(
        f"--flink_master={flink.address}", f"--flink_job_server_jar={tmp_path / 'text.jar'}"
    )
    assert ended.status == 1
    ended.told("is not the jar of Beam's job server for Flink")


def test_a_download_that_never_answers(
    flink: Answers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runners.flink_checks, "TIMEOUT_SECONDS", 0.5)
    monkeypatch.setattr(JavaJarServer, "JAR_CACHE", str(tmp_path / "jars"))
    before = socket.getdefaulttimeout()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setenv("no_proxy", "")
        started_at = time.monotonic()
        with pytest.raises(PreflightError, match=r"Beam could not download it \(.*urlopen"):
            _download("1.20")
    assert time.monotonic() - started_at < 5
    assert socket.getdefaulttimeout() == before


def test_no_slot_is_free(wrong: Wrong, flink: Answers) -> None:
    flink.by_path["/overview"] = {**OVERVIEW, "slots-available": 0, "jobs-running": 3}
    ended = wrong(f"--flink_master={flink.address}")
    assert ended.status == 1
    ended.told("needed 1 free slots, got 0 of 4, with 3 jobs running", "--parallelism")


def test_more_slots_than_are_free(wrong: Wrong, flink: Answers) -> None:
    ended = wrong(f"--flink_master={flink.address}", "--parallelism=5")
    assert ended.status == 1
    ended.told("needed 5 free slots, got 4 of 4")


def test_no_task_manager(wrong: Wrong, flink: Answers) -> None:
    flink.by_path["/overview"] = dict.fromkeys(OVERVIEW, 0)
    ended = wrong(f"--flink_master={flink.address}")
    assert ended.status == 1
    ended.told("the cluster has no TaskManager")


def test_no_java(
    wrong: Wrong, flink: Answers, jar: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "no-java"))
    ended = wrong(f"--flink_master={flink.address}", f"--flink_job_server_jar={jar}")
    assert ended.status == 1
    ended.told(f"{tmp_path / 'no-java'}/bin/java: no such program", "Java 11 or 17")
