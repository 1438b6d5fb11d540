"""``curate`` on a real Flink cluster: same bytes as at home, whatever is killed on the way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from flink_cluster import FlinkCluster, free_ports, running_cluster
from flink_scene import FlinkScene
from kill_harness import AtKill
from make_video import VideoSpec, make_video
from wrong_use import Ended, environment

from runners.flink_rest import JobState

pytestmark = pytest.mark.cluster

NUM_CLIPS = 24
HALF = 5
"""So many clips are there when something is killed: work has begun, most of it is still to do."""
FUSED = ("CutChunks", "FilterMotion", "FilterScores", "WriteClips")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlinkCluster]:
    with running_cluster(tmp_path_factory.mktemp("flink") / "cluster") as cluster:
        yield cluster


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of three videos that give 24 clips of a second."""
    folder = tmp_path_factory.mktemp("videos") / "raw"
    folder.mkdir()
    for name, size in (("a.mp4", (320, 256)), ("b.mp4", (320, 240)), ("c.mp4", (320, 256))):
        make_video(folder / name, VideoSpec(seconds=8, keyframe_every=25, size=size))
    return folder


@pytest.fixture(scope="module")
def home(raw: Path, cluster: FlinkCluster) -> dict[str, str]:
    """Return the trees of a run at home."""
    scene = FlinkScene(raw.parent / "home", raw, cluster)
    ended = scene.run()
    assert ended.status == 0, ended.err
    assert len(scene.encoded()) == NUM_CLIPS
    return scene.curated.trees()


@pytest.fixture
def scene(raw: Path, tmp_path: Path, cluster: FlinkCluster) -> FlinkScene:
    return FlinkScene(tmp_path / "scene", raw, cluster)


@dataclass(frozen=True)
class Whole:
    """A run on Flink that nothing was done to."""

    scene: FlinkScene
    ended: Ended
    job: JobState


@pytest.fixture(scope="module")
def whole(raw: Path, cluster: FlinkCluster) -> Whole:
    scene = FlinkScene(raw.parent / "whole", raw, cluster)
    with scene.on_flink("--progress_interval_s=1", "--sdk_worker_parallelism=1") as run:
        ended = run.wait()
        jobs = run.jobs()
    assert ended.status == 0, ended.err
    assert len(jobs) == 1, jobs
    return Whole(scene, ended, jobs[0])


class TestWhole:
    def test_the_trees_are_those_of_a_run_at_home(self, whole: Whole, home: dict[str, str]) -> None:
        whole.scene.check_finished(home, kills=[])

    def test_the_job_has_ended_by_itself(self, whole: Whole) -> None:
        assert whole.job.state == "FINISHED"

    def test_cutting_to_writing_is_one_task_of_flink(self, whole: Whole) -> None:
        vertices = whole.scene.cluster.rest.job(whole.job.job_id)["vertices"]
        tasks = [vertex for vertex in vertices if "CutChunks" in vertex["name"]]
        assert len(tasks) == 1
        assert [step for step in FUSED if step not in tasks[0]["name"]] == []
        assert tasks[0]["parallelism"] == 2

    def test_progress_is_shown_and_counters_add_up(self, whole: Whole) -> None:
        lines = [line for line in whole.ended.err.splitlines() if line.startswith("progress ")]
        assert any("probed 3/3 videos" in line for line in lines), whole.ended.err
        counters = whole.scene.curated.read("performance_stats_0.json")["counters"]
        assert counters["videos_selected"] == 3
        assert counters["clips_written"] == counters["clips_cut"] == NUM_CLIPS
        assert counters["seconds_cut"] == pytest.approx(NUM_CLIPS)
        assert "24 kept, 0 rejected, 0 failed" in whole.ended.out

    def test_nothing_of_the_run_is_left(self, whole: Whole) -> None:
        assert not (whole.scene.curated.out / ".work" / "running").exists()
        assert not (whole.scene.curated.dataset / ".work" / "v0" / "running").exists()

    def test_two_workers_see_a_gpu_each(self, whole: Whole) -> None:
        notes = [path.read_text().strip() for path in whole.scene.notes.iterdir()]
        workers = [note for note in notes if "runners.cluster_worker" in note]
        assert sorted(note.rpartition("|")[2] for note in workers) == ["0", "1"]

    def test_what_workers_print_is_kept_within_bounds(self, whole: Whole) -> None:
        logs = list((whole.scene.cluster.folder / "workers").glob("worker-*.log*"))
        assert len(logs) >= 2
        assert all(path.stat().st_size <= 4 * 1024 * 1024 for path in logs)
        assert any("A worker that prints more than a pipe holds" in p.read_text() for p in logs)

    def test_a_second_run_has_nothing_to_do(self, whole: Whole, home: dict[str, str]) -> None:
        with whole.scene.on_flink() as run:
            ended = run.wait()
        assert ended.status == 0, ended.err
        assert "nothing was left to do" in ended.out
        whole.scene.check_finished(home, kills=[])


class TestKills:
    """SIGKILL in the middle: the job ends right by itself, or the same command finishes it."""

    def test_of_a_worker(self, scene: FlinkScene, home: dict[str, str]) -> None:
        with scene.on_flink() as run:
            at_kill = run.wait_for_clips(HALF)
            run.kill_worker()
            ended = run.wait()
        self.check_finished(scene, ended, at_kill, home)

    def test_of_a_task_manager(
        self, scene: FlinkScene, cluster: FlinkCluster, home: dict[str, str]
    ) -> None:
        with scene.on_flink() as run:
            at_kill = run.wait_for_clips(HALF)
            cluster.kill_task_manager()
            ended = run.wait()
        self.check_finished(scene, ended, at_kill, home)

    def test_of_the_job_server(self, scene: FlinkScene, home: dict[str, str]) -> None:
        with scene.on_flink() as run:
            at_kill = run.wait_for_clips(HALF)
            run.kill_job_server()
            ended = run.wait()
        self.check_finished(scene, ended, at_kill, home)

    def test_of_the_submitter_and_the_run_at_home_goes_on(
        self, scene: FlinkScene, home: dict[str, str]
    ) -> None:
        with scene.on_flink() as run:
            at_kill = run.wait_for_clips(HALF)
            assert run.signal(signal.SIGKILL).status == -signal.SIGKILL
            scene.wait_until_gone()
            assert [job.state for job in run.jobs()] == ["CANCELED"]
        assert 0 < len(at_kill.clips) < NUM_CLIPS
        assert len(scene.curated.metas()) < NUM_CLIPS, "all was done before the kill"
        ended = scene.run()
        assert ended.status == 0, ended.err
        scene.check_finished(home, [at_kill])

    def test_of_a_run_at_home_and_flink_goes_on(
        self, scene: FlinkScene, home: dict[str, str]
    ) -> None:
        metas = scene.curated.out / "metas" / "v0"
        at_kill = scene.kill_when(lambda: len(list(metas.glob("*.json"))) >= HALF)
        assert len(at_kill.clips) < NUM_CLIPS
        with scene.on_flink() as run:
            ended = run.wait()
        assert ended.status == 0, ended.err
        scene.check_finished(home, [at_kill])

    @staticmethod
    def check_finished(
        scene: FlinkScene, ended: Ended, at_kill: AtKill, home: dict[str, str]
    ) -> None:
        assert 0 < len(at_kill.clips) < NUM_CLIPS
        told = ended.err
        if ended.status:
            with scene.on_flink() as run:
                ended = run.wait()
        print("the run that something was killed of:", told)
        assert ended.status == 0, ended.err
        scene.check_finished(home, [at_kill])


WAVES = ("--wave_hours", str(7.5 / 3600))
"""Each of the three videos fills a wave: a job for each, and one that closes."""


@pytest.fixture(scope="module")
def home_in_waves(raw: Path, cluster: FlinkCluster) -> dict[str, str]:
    """Return the trees of a run at home in waves."""
    scene = FlinkScene(raw.parent / "home-in-waves", raw, cluster)
    ended = scene.run(*WAVES)
    assert ended.status == 0, ended.err
    return scene.curated.trees()


def test_in_waves(scene: FlinkScene, home_in_waves: dict[str, str]) -> None:
    with scene.on_flink(*WAVES) as run:
        ended = run.wait()
        jobs = run.jobs()
        assert len(run.checks()) == 1, "machines are looked at once, not with every wave"
    assert ended.status == 0, ended.err
    assert [job.state for job in jobs] == ["FINISHED"] * 4
    scene.check_finished(home_in_waves, kills=[])


def test_killed_between_waves_it_goes_on_at_home(
    scene: FlinkScene, home_in_waves: dict[str, str]
) -> None:
    with scene.on_flink(*WAVES) as run:
        # The first wave is filed, the job of the second one is on its way.
        scene.wait_for((scene.curated.out / "runs" / "0001.json").exists, run.process)
        at_kill = scene.at_kill()
        assert run.signal(signal.SIGKILL).status == -signal.SIGKILL
        scene.wait_until_gone()
        assert {job.state for job in run.jobs()} <= {"FINISHED", "CANCELED"}
    assert 8 <= len(at_kill.clips) < NUM_CLIPS
    ended = scene.run(*WAVES)
    assert ended.status == 0, ended.err
    scene.check_finished(home_in_waves, [at_kill])


def test_ctrl_c_cancels_the_job(scene: FlinkScene) -> None:
    with scene.on_flink() as run:
        run.wait_for_clips(HALF)
        ended = run.signal(signal.SIGINT)
        assert [job.state for job in run.jobs()] == ["CANCELED"]
    assert ended.status == 130
    assert "The same command goes on from here" in ended.err


def test_a_job_that_hangs_is_cancelled(scene: FlinkScene, home: dict[str, str]) -> None:
    with scene.on_flink("--stall_minutes=0.5") as run:
        at_kill = run.wait_for_clips(HALF)
        for worker in scene.processes("runners.cluster_worker"):
            os.kill(worker.pid, signal.SIGSTOP)
        ended = run.wait()
        assert [job.state for job in run.jobs()] == ["CANCELED"]
    assert ended.status == 1
    ended.told("nothing was counted for 0.5 minutes", "--stall_minutes")
    assert 0 < len(at_kill.clips) < NUM_CLIPS


def test_workers_of_a_pool(scene: FlinkScene, home: dict[str, str], pool: int) -> None:
    flags = ("--environment_type=EXTERNAL", f"--environment_config=localhost:{pool}")
    with scene.on_flink(*flags) as run:
        ended = run.wait()
    assert ended.status == 0, ended.err
    scene.check_finished(home, kills=[])


@pytest.fixture
def pool(scene: FlinkScene, tmp_path: Path) -> Iterator[int]:
    """Run a worker pool and return its port."""
    (port,) = free_ports(1)
    with (tmp_path / "pool.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "runners.worker_pool", f"--port={port}"],
            env=environment({"PYTHONPATH": str(scene.notes.parent / "site")}),
            stdin=subprocess.DEVNULL,
            stderr=log,
        )
        try:
            yield port
        finally:
            process.terminate()
            assert process.wait(20) == 0
