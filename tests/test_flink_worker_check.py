"""Machines of a real Flink cluster on which workers cannot start: named before the job begins."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import stat
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from flink_cluster import FlinkCluster, flink_home, running_cluster
from flink_scene import FlinkScene
from make_video import VideoSpec, make_video
from wrong_use import ROOT, Ended

from runners.flink_rest import FlinkRest
from runners.flink_worker_check.build import build
from runners.flink_worker_check.check import JAR, check_workers

pytestmark = pytest.mark.cluster

MOST_SECONDS = 30
"""Of the whole command, on a machine that may be busy; see docs/runners.md for what it takes."""
OFTEN = """
import java.io.IOException;
import java.util.Arrays;
import java.util.HashMap;

public class Often {
  public static void main(String[] arguments) throws Exception {
    int told = 0;
    for (int time = 0; time < 100; time++) {
      try {
        WorkerCheck.once(Arrays.asList("sh", "-c", "echo why; exit 1"), new HashMap<>(), 10);
      } catch (IOException error) {
        told += error.getMessage().endsWith("exit code 1: why") ? 1 : 0;
      }
    }
    System.out.println("told " + told);
  }
}
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlinkCluster]:
    with running_cluster(tmp_path_factory.mktemp("flink") / "cluster") as cluster:
        yield cluster


@pytest.fixture
def scene(tmp_path: Path, cluster: FlinkCluster) -> FlinkScene:
    (tmp_path / "raw").mkdir()
    make_video(tmp_path / "raw" / "a.mp4", VideoSpec(seconds=2, size=(64, 48)))
    return FlinkScene(tmp_path / "scene", tmp_path / "raw", cluster)


def worker_python(
    folder: Path, lines: str, package: Path = ROOT, python: tuple[str, ...] = ()
) -> str:
    """Return the option for workers whose boot program is preceded by lines of shell."""
    script = folder / "bin" / "beam-curate-worker"
    script.parent.mkdir(parents=True)
    command = shlex.join([sys.executable, *python, "-m", "runners.worker_boot"])
    boot = f"env PYTHONPATH={package} {command}"
    script.write_text(f'#!/bin/sh\nboot="{boot}"\n{lines}\nexec $boot "$@"\n')
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return f"--worker_python={folder}/bin/python"


def elsewhere(mark: Path, mounted: Path, *options: str) -> str:
    """Return lines by which all workers but the first see an empty disk at a place."""
    mount = shlex.join(["mount", "-t", "tmpfs", *options, "tmpfs", str(mounted)])
    inside = shlex.quote(f'{mount} && exec $boot "$@"')
    return f"mkdir {mark} 2>/dev/null || {{ export boot; exec unshare -m sh -c {inside} sh $*; }}"


def can_unshare() -> None:
    """Skip, or fail where the cluster's tests must run, if this user may not mount anything."""
    if subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode:
        if os.environ.get("REQUIRE_CLUSTER") == "1":
            pytest.fail("this user may not make a mount namespace")
        pytest.skip("this user may not make a mount namespace")


class TestWorkersThatCannotStart:
    """The command ends by the name of what is wrong, and nothing was begun."""

    def test_task_managers_without_the_package(self, scene: FlinkScene, tmp_path: Path) -> None:
        ended = self.refused(scene, f"--worker_python={tmp_path}/none/bin/python")
        ended.told("a worker cannot start", f"{tmp_path}/none/bin/beam-curate-worker")

    def test_a_python_without_the_package(self, scene: FlinkScene, tmp_path: Path) -> None:
        # Without site-packages, where the program may be installed.
        other = worker_python(tmp_path / "other", "", package=tmp_path, python=("-S",))
        ended = self.refused(scene, other)
        ended.told("its Python does not find this program", "No module named")

    def test_another_version_of_the_package(self, scene: FlinkScene, tmp_path: Path) -> None:
        package = other_version(tmp_path / "package")
        ended = self.refused(scene, worker_python(tmp_path / "other", "", package))
        ended.told("other versions", "beam-curate (its code)")

    def test_one_of_two_does_not_see_the_storage(self, scene: FlinkScene, tmp_path: Path) -> None:
        can_unshare()
        lines = elsewhere(tmp_path / "mark", scene.curated.out.parent)
        ended = self.refused(scene, worker_python(tmp_path / "other", lines))
        ended.told("it does not see the storage", f"{scene.curated.out}/", "is not there on")

    def test_one_of_two_has_no_room_in_scratch(self, scene: FlinkScene, tmp_path: Path) -> None:
        can_unshare()
        lines = elsewhere(tmp_path / "mark", scene.scratch, "-o", "size=1m")
        ended = self.refused(scene, worker_python(tmp_path / "other", lines))
        ended.told(f"scratch folder {scene.scratch}: needed 256 MiB of room", "--scratch_path")

    @staticmethod
    def refused(scene: FlinkScene, option: str) -> Ended:
        started_at = time.monotonic()
        with scene.on_flink(option) as run:
            ended = run.wait()
            assert [job.state for job in run.checks()] == ["FAILED"]
            assert run.jobs() == []
        seconds = time.monotonic() - started_at
        print(f"refused after {seconds:.1f} s")
        assert ended.status == 1
        assert seconds < MOST_SECONDS
        assert not (scene.curated.out / "runs").exists()
        (complaint,) = ended.complaints
        assert re.match(r"(localhost|127\.0\.0\.1): a worker cannot start: ", complaint)
        return ended


def other_version(folder: Path) -> Path:
    """Return a copy of this program that differs by a file."""
    for package in ("beam_pipeline", "runners", "transforms"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, folder / package, ignore=ignored)
    (folder / "transforms" / "added.py").write_text("")
    return folder


def test_a_machine_that_changes_behind_the_check_ends_the_job_by_name(
    scene: FlinkScene, tmp_path: Path
) -> None:
    other = other_version(tmp_path / "package")
    changed = f'boot="env PYTHONPATH={other} ${{boot#*PYTHONPATH=* }}"'
    late = f'case "$*" in *--check*) ;; *) {changed};; esac'
    started_at = time.monotonic()
    with scene.on_flink(worker_python(tmp_path / "other", late)) as run:
        ended = run.wait()
        assert all(job.has_ended for job in run.jobs())
        assert [job.state for job in run.checks()] == ["FINISHED"]
    assert ended.status == 1
    assert time.monotonic() - started_at < 120
    assert not (scene.curated.out / "metas").exists()
    ended.told("a worker cannot start", "other versions", "beam-curate (its code)")


def test_all_is_well_within_seconds_and_the_jar_is_gone(
    scene: FlinkScene, cluster: FlinkCluster
) -> None:
    started_at = time.monotonic()
    check_workers(cluster.rest, {"command": "/bin/true", "env": {}}, "by-hand")
    seconds = time.monotonic() - started_at
    print(f"checked in {seconds:.1f} s")
    assert seconds < MOST_SECONDS
    assert [job.state for job in cluster.rest.jobs() if job.name.endswith("by-hand")] == [
        "FINISHED"
    ]
    assert cluster.rest._get("/jars")["files"] == []


def test_a_cluster_that_takes_no_jars_is_not_asked(caplog: pytest.LogCaptureFixture) -> None:
    class NoJars(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"slots-total": 2, "slots-available": 2}')

        def do_POST(self) -> None:
            self.send_error(404)

        def log_message(self, format: str, *args: object) -> None:
            return

    with HTTPServer(("127.0.0.1", 0), NoJars) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            rest = FlinkRest(f"127.0.0.1:{server.server_port}")
            check_workers(rest, {"command": "/bin/true", "env": {}}, "none")
        finally:
            server.shutdown()
    assert "workers are checked when they start, not before" in caplog.text


@pytest.fixture(scope="module")
def flink_lib() -> Path:
    """Return the folder of Flink's jars, to compile against."""
    home = flink_home()
    if home is None or shutil.which("javac") is None:
        needed = "a Java compiler and a Flink are needed"
        pytest.fail(needed) if os.environ.get("REQUIRE_CLUSTER") == "1" else pytest.skip(needed)
    return home / "lib"


def test_the_jar_is_made_of_the_source_beside_it(flink_lib: Path, tmp_path: Path) -> None:
    build(flink_lib, tmp_path / "made.jar")
    assert contents(tmp_path / "made.jar") == contents(JAR)


def test_what_a_check_says_before_it_ends_is_never_lost(flink_lib: Path, tmp_path: Path) -> None:
    (tmp_path / "Often.java").write_text(OFTEN)
    classpath = f"{JAR}:{flink_lib}/*"
    subprocess.run(["javac", "-cp", classpath, "-d", tmp_path, tmp_path / "Often.java"], check=True)
    ended = subprocess.run(
        ["java", "-cp", f"{tmp_path}:{classpath}", "Often"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout == "told 100\n"


def contents(jar: Path) -> dict[str, bytes]:
    """Return the files of a jar."""
    with zipfile.ZipFile(jar) as archive:
        return {name: archive.read(name) for name in archive.namelist()}
