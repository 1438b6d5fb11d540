"""The slots of a run of several jobs: those of its first job are waited for by the later ones."""

from __future__ import annotations

import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from flink_stub import OVERVIEW, Answers, answering

import runners.flink
from runners.flink import _cluster_for
from runners.interface import Job
from transforms.errors import PreflightError


@pytest.fixture
def flink() -> Iterator[Answers]:
    with answering() as answers:
        yield answers


@pytest.fixture
def flags(flink: Answers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return Beam's flags for a cluster whose Java and jar are there."""
    java = tmp_path / "java-home" / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.touch(mode=0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "java-home"))
    jar = tmp_path / "job-server.jar"
    with zipfile.ZipFile(jar, "w") as archive:
        archive.writestr(".flink-runtime.version.properties", "project.version=1.19.0\n")
    return [f"--flink_master={flink.address}", f"--flink_job_server_jar={jar}"]


def free(flink: Answers, slots: int) -> None:
    flink.by_path["/overview"] = {**OVERVIEW, "slots-available": slots}


def test_the_first_job_is_refused_at_once(flink: Answers, flags: list[str]) -> None:
    free(flink, 0)
    with pytest.raises(PreflightError, match="needed 1 free slots, got 0 of 4"):
        _cluster_for(Job("refused"), flags)


@pytest.mark.parametrize("left", [0, 1])
def test_a_later_job_waits_for_the_slots_of_the_first(
    flink: Answers, flags: list[str], left: int
) -> None:
    job = Job(f"in waves, {left} left")
    assert _cluster_for(job, flags).parallelism == 4
    free(flink, left)
    threading.Timer(1.0, free, (flink, 4)).start()
    assert _cluster_for(job, flags).parallelism == 4


def test_a_later_job_takes_what_is_there_when_they_do_not_come_back(
    flink: Answers,
    flags: list[str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(runners.flink, "_BACK_SECONDS", 0.5)
    job = Job("with fewer")
    _cluster_for(job, flags)
    free(flink, 1)
    assert _cluster_for(job, flags).parallelism == 1
    assert "goes on with 1 slots instead of 4" in caplog.text
    free(flink, 0)
    with pytest.raises(PreflightError, match="got 0 of 4"):
        _cluster_for(job, flags)
