"""Pipelines in a real SLURM of two nodes: what they make, and what is left when they are ended."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from make_video import VideoSpec, make_video
from run_command import Curated
from slurm_lab import NODES, LabError, SlurmLab, slurm_lab
from ssh_server import ssh_server

from runners.flink_jar import find_jar

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

_ROOT = Path(__file__).resolve().parent.parent
_STRIDE = ("--fixed_stride_split_duration", "1", "--fixed_stride_min_clip_length_s", "0.5")
_OPTIONS = (*_STRIDE, "--clip_re_chunk_size", "1")
_CLUSTER = ("--num_nodes", "2", "--slots_per_node", "1", "--jobmanager_memory", "1g")


def _impossible(why: str) -> None:
    if os.environ.get("REQUIRE_CLUSTER") == "1":
        pytest.fail(why)
    pytest.skip(why)


def _flink() -> tuple[str, str]:
    """Return the folder of a Flink and the jar of Beam's job server for it."""
    found = importlib.util.find_spec("pyflink")
    places = list(found.submodule_search_locations or ()) if found else []
    home = os.environ.get("BEAM_CURATE_FLINK_HOME") or next(iter(places), "")
    jar = os.environ.get("BEAM_CURATE_FLINK_JAR") or find_jar("1.19", named=None, cache_dir=None)
    if not (Path(home) / "bin" / "taskmanager.sh").exists() or not jar:
        _impossible("no Flink or no job server: .ci/install_cluster_tools VENV brings both")
    return home, str(jar)


@pytest.fixture(scope="session")
def lab() -> Iterator[SlurmLab]:
    try:
        with slurm_lab() as running:
            yield running
    except LabError as error:
        _impossible(f"no SLURM can be run here: {error}")


@pytest.fixture(autouse=True)
def free_nodes(lab: SlurmLab) -> Iterator[None]:
    """Leave the nodes to the next test, however this one ends."""
    yield
    lab.told("scancel", "--user=root")
    _until(lambda: not lab.told("squeue", "-h"))
    for left in lab.left_files():
        shutil.rmtree(left.parent, ignore_errors=True)


@pytest.fixture(scope="session")
def local(lab: SlurmLab) -> Curated:
    """Return a run of this process, whose bytes all others must make."""
    raw = lab.shared / "raw"
    raw.mkdir()
    for index, (size, seconds) in enumerate([((64, 48), 3), ((48, 64), 2), ((64, 48), 2.5)]):
        make_video(raw / f"{index}.mp4", VideoSpec(seconds=seconds, size=size))
    curated = Curated.below(lab.shared / "local", raw)
    assert curated.curate(*_OPTIONS) == 0
    return curated


class Submitter:
    """Submits to the lab as a user on its login node does."""

    def __init__(self, lab: SlurmLab) -> None:
        self.lab = lab
        self._flink: tuple[str, str] | None = None

    def slurm(
        self, *words: str | Path, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command of ``slurm``."""
        program = [sys.executable, "-m", "beam_pipeline", "slurm"]
        return self.lab.run(*program, *words, env={"PYTHONPATH": str(_ROOT), **(env or {})})

    def options(self, *more: str) -> list[str]:
        """Return the options of a job on both nodes."""
        self._flink = self._flink or _flink()
        return [
            *_CLUSTER,
            *("--time", "20", "--node_scratch", str(self.lab.scratch)),
            *("--remote_files_path", str(self.lab.shared / "launch files")),
            *("--flink_home", self._flink[0], "--flink_job_server_jar", self._flink[1]),
            *more,
        ]

    def submit(
        self, *options: str, command: list[str], env: Mapping[str, str] | None = None
    ) -> str:
        """Submit a job and return its number."""
        result = self.slurm("submit", *self.options(*options), "--", *command, env=env)
        assert result.returncode == 0, result.stderr
        found = re.search(r"^Job submitted with ID: (\d+)$", result.stdout, re.MULTILINE)
        assert found is not None, result.stdout
        return found[1]

    def curate(self, into: Curated, *options: str, env: Mapping[str, str] | None = None) -> str:
        """Submit a ``curate`` of the sample videos and return its number."""
        paths = ["--input_video_path", str(into.raw), "--output_clip_path", str(into.out)]
        stride = ["--splitting_algorithm", "fixed-stride", *_OPTIONS, "--no-predict"]
        return self.submit(*options, command=["curate", *paths, *stride], env=env)

    def ended(self, job_id: str, state: str, exit_code: str = "0:0") -> str:
        """Wait for the end of a job, check that nothing is left, and return its log."""
        job = self.lab.wait(job_id)
        assert (job["JobState"], job["ExitCode"]) == (state, exit_code), self.lab.log(job)
        self.lab.assert_gone(job_id)
        return self.lab.log(job)


@pytest.fixture(scope="session")
def submitter(lab: SlurmLab) -> Submitter:
    return Submitter(lab)


def _until(is_so: Callable[[], bool], seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def _until_in(lab: SlurmLab, job_id: str, is_so: Callable[[], bool]) -> None:
    """Wait for something that a job does."""

    def is_so_or_over() -> bool:
        job = lab.job(job_id)
        assert job["JobState"] in ("PENDING", "CONFIGURING", "RUNNING"), lab.log(job)
        return is_so()

    _until(is_so_or_over)


def _committed(curated: Curated) -> dict[str, int]:
    """Return the committed clips and when."""
    folder = curated.out / "metas" / "v0"
    return {path.stem: path.stat().st_mtime_ns for path in folder.glob("*.json")}


def test_curate_on_two_nodes_makes_the_bytes_of_a_local_run(
    lab: SlurmLab, submitter: Submitter, local: Curated
) -> None:
    there = Curated.below(lab.shared / "on nodes", local.raw)
    gpus = ["--gres", "gpu:2", "--slots_per_node", "2"] if lab.has_gpus else []
    job_id = submitter.curate(there, *gpus)
    if lab.has_gpus:
        each = {(node, gpu) for node in NODES for gpu in ("0", "1")}
        _until_in(lab, job_id, lambda: lab.gpus_of_workers(job_id) == each)
    log = submitter.ended(job_id, "COMPLETED")
    assert there.trees() == local.trees()
    assert f"clips     {len(local.metas())} kept, 0 rejected, 0 failed" in log
    told = submitter.slurm("status", job_id).stdout
    assert "COMPLETED" in told
    assert "node[1-2]" in told
    shown = submitter.slurm("logs", job_id, "--component", "taskmanager").stdout
    assert shown.count("==> ") == 2, "a TaskManager on each node"
    # The cluster forgets the job; its log stays.
    folder = str(lab.shared / "launch files")
    stranger = submitter.slurm("logs", job_id, "--remote_files_path", folder, "--lines", "1")
    assert stranger.stdout.strip().endswith("ended, status 0")


def test_cancelled_in_the_middle_and_submitted_again(
    lab: SlurmLab, submitter: Submitter, local: Curated
) -> None:
    there = Curated.below(lab.shared / "cancelled", local.raw)
    hung = sorted(local.metas())[0]
    job_id = submitter.curate(there, "--environment", f"BEAM_CURATE_FAULT=hang:{hung}")
    _until_in(lab, job_id, lambda: bool(_committed(there)))
    before = _committed(there)
    assert hung not in before
    assert submitter.slurm("cancel", job_id).returncode == 0
    job = lab.wait(job_id)
    assert job["JobState"] == "CANCELLED"
    lab.assert_gone(job_id)
    again = submitter.curate(there)
    submitter.ended(again, "COMPLETED")
    assert there.trees() == local.trees()
    after = _committed(there)
    assert before == {clip: after[clip] for clip in before}, "what was finished was done again"


def test_time_limit_in_the_middle_puts_the_job_back_and_it_finishes(
    lab: SlurmLab, submitter: Submitter, local: Curated
) -> None:
    there = Curated.below(lab.shared / "timed out", local.raw)
    hung = sorted(local.metas())[0]
    fault = f"BEAM_CURATE_FAULT=hang:{hung}"
    setup = f'[ "${{SLURM_RESTART_COUNT:-0}}" != 0 ] || export {fault}'
    job_id = submitter.curate(there, "--setup", setup, "--signal_seconds", "60")
    _until_in(lab, job_id, lambda: bool(_committed(there)))
    before = _committed(there)
    # A minute is the shortest limit: a limit that is near is given to the job when it is at work.
    lab.told("scontrol", "update", f"JobId={job_id}", "EndTime=now+60")
    _until(lambda: lab.job(job_id)["JobState"] == "PENDING")
    lab.told("scontrol", "update", f"JobId={job_id}", "TimeLimit=20")
    log = submitter.ended(job_id, "COMPLETED")
    assert "ended by the time limit; back into the queue (retry 1 of 3)" in log
    assert lab.job(job_id)["Restarts"] == "1"
    assert there.trees() == local.trees()
    after = _committed(there)
    assert before == {clip: after[clip] for clip in before}, "what was finished was done again"


_PYXIS = """#!/bin/bash
# Stands for srun with the plugin pyxis: takes its options, and runs without a container.
others=() container=()
while [ $# -gt 0 ] && [[ $1 == -* ]]; do
  if [[ $1 == --container-* ]]; then container+=("$1"); else others+=("$1"); fi
  shift
done
printf '%s\\n' "${container[*]}" >> {record}
exec {srun} "${others[@]}" "$@"
"""


def _pyxis(lab: SlurmLab) -> tuple[dict[str, str], Path]:
    """Return an environment whose srun takes the options of pyxis, and where it records them."""
    folder, record = lab.shared / "bin", lab.shared / "pyxis options"
    folder.mkdir()
    real = shutil.which("srun")
    assert real is not None
    program = _PYXIS.replace("{record}", shlex.quote(str(record))).replace("{srun}", real)
    (folder / "srun").write_text(program)
    (folder / "srun").chmod(0o755)
    return {"PATH": f"{folder}:{os.environ['PATH']}"}, record


def test_lost_cluster_and_preemption_put_the_job_back_in_containers_too(
    lab: SlurmLab, submitter: Submitter, local: Curated
) -> None:
    there = Curated.below(lab.shared / "put back", local.raw)
    pyxis, record = _pyxis(lab)
    image = lab.shared / "image.sqsh"
    mounts = f"{lab.shared}:{lab.shared},/usr:/usr:ro"
    container = ["--container_image", str(image), "--container_mounts", mounts]
    missing = submitter.slurm("submit", *submitter.options(*container), "--", "bash", "-c", "true")
    assert missing.returncode == 1
    assert f"not on this machine: {image}" in missing.stderr
    image.touch()
    # The first attempt hangs at the first clip of a video, the second one at its last.
    first, last = _first_and_last_clip(local, "0.mp4")
    hangs = f"BEAM_CURATE_FAULT=hang:{first}", f"BEAM_CURATE_FAULT=hang:{last}"
    setup = (
        f"case ${{SLURM_RESTART_COUNT:-0}} in 0) export {hangs[0]};; 1) export {hangs[1]};; esac"
    )
    container += ["--python", sys.executable, "--environment", "A=1", "--setup", setup]
    job_id = submitter.curate(there, *container, env=pyxis)
    _until_in(lab, job_id, lambda: bool(_committed(there)))
    lab.kill(job_id, "StandaloneSessionClusterEntrypoint")
    _until(lambda: first in _committed(there))
    before = _committed(there)
    assert last not in before
    urgent = ["sbatch", "--parsable", "-p", "urgent", "-N2", "--exclusive", "-o", "/dev/null"]
    urgent_id = lab.told(*urgent, "--wrap", "sleep 1").strip()
    log = submitter.ended(job_id, "COMPLETED")
    assert lab.job(urgent_id)["JobState"] == "COMPLETED"
    assert "ended by the loss of the Flink cluster; back into the queue (retry 1 of 3)" in log
    assert lab.job(job_id)["Restarts"] == "2"
    assert there.trees() == local.trees()
    after = _committed(there)
    assert before == {clip: after[clip] for clip in before}, "what was finished was done again"
    own = Path(lab.job(job_id)["WorkDir"])
    options = f"--container-image={image} --container-mounts={mounts},{own}:{own}"
    # A JobManager, TaskManagers and the command, three times.
    assert record.read_text().splitlines() == [f"{options} --container-env=A"] * 9


def _first_and_last_clip(curated: Curated, name: str) -> tuple[str, str]:
    """Return the ids of the first and the last clip of a video."""
    clips = [
        (meta["duration_span"], clip_id)
        for clip_id, meta in curated.metas().items()
        if meta["source_video"].endswith(f"/{name}")
    ]
    return min(clips)[1], max(clips)[1]


def test_by_a_login_node_with_exit_status_and_a_lost_taskmanager(
    lab: SlurmLab, submitter: Submitter, tmp_path: Path
) -> None:
    hostile = """it's "$(touch pwned)" `id`; \\ * ~ & | < > # !"""
    marks = lab.shared / "login"
    marks.mkdir()
    said, go = marks / "said", marks / "go"
    lines = (
        f'printf %s "$HOSTILE" > {said}.new; mv {said}.new {said}; '
        f"until [ -e {go} ]; do sleep 0.2; done; exit 7"
    )
    with ssh_server(lab, tmp_path) as config:
        # Without SLURM's configuration this machine has no cluster: only ssh leads to one.
        blind = {"SLURM_CONF": "/nowhere"}
        login = ["--login_node", "login", "--ssh_config", str(config)]
        job_id = submitter.submit(
            *login,
            *("--python", sys.executable, "--environment", f"HOSTILE={hostile}"),
            *("--comment", hostile.replace("\\", "/")),
            command=["bash", "-c", lines],
            env=blind,
        )
        _until_in(lab, job_id, said.exists)
        assert said.read_text() == hostile
        status = submitter.slurm("status", job_id, *login, env=blind)
        assert "RUNNING" in status.stdout, status.stderr
        lab.kill(job_id, "TaskManagerRunner", "tm-node2-1")
        folder = Path(lab.job(job_id)["StdOut"].removesuffix(".log"))
        tm_log = folder / "attempt-0" / "taskmanager-node2.log"
        assert lab.job(job_id)["Comment"].strip() == hostile.replace("\\", "/")
        _until(lambda: "the taskmanager ended with status 137" in tm_log.read_text())
        _until(lambda: "tm-node2-2" in tm_log.read_text())
        go.touch()
        log = submitter.ended(job_id, "FAILED", "7:0")
        assert "the pipeline ended with status 7" in log
        logs = submitter.slurm(
            *("logs", job_id, *login, "--lines", "1"),
            *("--remote_files_path", str(lab.shared / "launch files")),
            env=blind,
        )
        assert logs.stdout.strip().endswith("ended, status 7"), logs.stderr
        stranger = ["--login_node", "stranger", "--ssh_config", str(config)]
        refused = submitter.slurm("status", job_id, *stranger, env=blind)
        assert refused.returncode == 1
        assert "stranger cannot be reached by ssh" in refused.stderr
        assert "Permission denied" in refused.stderr
    assert not list(lab.shared.rglob("pwned"))


def test_waiting_job_is_shown_and_cancelled(lab: SlurmLab, submitter: Submitter) -> None:
    later = ["--sbatch_options", "begin=now+1hour"]
    job_id = submitter.submit(*later, command=["bash", "-c", "true"])
    assert "PENDING (BeginTime)" in submitter.slurm("status", job_id).stdout
    early = submitter.slurm("logs", job_id, "--remote_files_path", str(lab.shared / "launch files"))
    assert early.returncode == 1
    assert f"no log of job {job_id}" in early.stderr
    assert submitter.slurm("cancel", job_id).returncode == 0
    assert lab.job(job_id)["JobState"] == "CANCELLED"


def test_unknown_partition_and_unknown_job(lab: SlurmLab, submitter: Submitter) -> None:
    before = set(lab.shared.glob("launch files/*"))
    command = ["--", "bash", "-c", "true"]
    result = submitter.slurm("submit", *submitter.options("--partition", "gpus"), *command)
    assert result.returncode == 1
    assert "invalid partition specified: gpus" in result.stderr
    assert "sinfo -s lists the partitions" in result.stderr
    assert set(lab.shared.glob("launch files/*")) == before
    for what in ("status", "cancel"):
        unknown = submitter.slurm(what, "99999")
        assert unknown.returncode == 1
        assert "99999" in unknown.stderr
        assert "Traceback" not in unknown.stderr


def test_nodes_without_flink_are_named_and_followed(lab: SlurmLab, submitter: Submitter) -> None:
    nothing = ["--flink_home", "/nowhere", "--retries", "0"]
    job_id = submitter.submit(*nothing, command=["bash", "-c", "true"])
    _until(lambda: bool(lab.log(lab.job(job_id))))
    followed = submitter.slurm("logs", job_id, "--follow").stdout
    assert "Flink did not start" in followed
    assert followed.strip().endswith("ended, status 1")
    log = submitter.ended(job_id, "FAILED", "1:0")
    assert "Flink did not start" in log
    assert "beam-curate on node1, jobmanager: no Flink at '/nowhere'" in log
