"""The sbatch script and what refuses to make one; no SLURM is needed."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from wrong_use import Ended, use

from beam_pipeline.commands.slurm import SLURM_COMMANDS
from runners.slurm.lists import split_list
from runners.slurm.options import SlurmJob
from runners.slurm.render import Work, directives, render

_ROOT = Path(__file__).resolve().parent.parent
_WORK = Work(command=("curate", "--limit", "1"), is_pipeline=True)
_HOSTILE = """it's "$(touch pwned)" `touch pwned`; \\ * ~ & | < > # ! ${HOME} %x"""
_CURATE = ("--", "curate", "--input_video_path", "/v", "--output_clip_path", "/o")


def _script(job: SlurmJob, work: Work = _WORK) -> str:
    return render(job, work, version="0")


def _told(script: str, *commands: str) -> str:
    """Return what bash prints when it has read the settings of a script and runs ``commands``."""
    start = script.index("# ---- what was asked for")
    end = script.index("say() {")
    program = "\n".join(["SLURM_SUBMIT_DIR=/launch", script[start:end], *commands])
    result = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", program], capture_output=True, text=True, check=True
    )
    return result.stdout


def _submit(capsys: pytest.CaptureFixture[str], *words: str) -> Ended:
    return use(capsys, "slurm", "submit", *words)


def test_every_question_to_slurm_stands_in_a_line_of_its_own() -> None:
    job = SlurmJob(
        num_nodes=3,
        partition="batch,long",
        account="film",
        gres="gpu:8",
        time="1-12:00:00",
        exclude_nodes="node[3-5],node9",
        comment='reels of "1931" # first',
        mail_type=("END", "FAIL"),
        mail_user="me@example.org",
        job_name="reels",
        log_dir="/shared/logs",
        sbatch_options=("qos=high", "spread-job"),
    )
    assert list(directives(job)) == [
        "#SBATCH --job-name=reels",
        "#SBATCH --nodes=3",
        "#SBATCH --ntasks-per-node=1",
        "#SBATCH --partition=batch,long",
        "#SBATCH --account=film",
        "#SBATCH --gres=gpu:8",
        "#SBATCH --time=1-12:00:00",
        "#SBATCH --exclude=node[3-5],node9",
        "#SBATCH --mem=0",
        '#SBATCH --comment="reels of \\"1931\\" # first"',
        "#SBATCH --mail-type=END,FAIL",
        "#SBATCH --mail-user=me@example.org",
        "#SBATCH --exclusive",
        "#SBATCH --output=/shared/logs/%x_%j.log",
        "#SBATCH --open-mode=append",
        "#SBATCH --signal=B:USR1@120",
        "#SBATCH --requeue",
        "#SBATCH --qos=high",
        "#SBATCH --spread-job",
    ]


def test_part_of_a_node_and_no_retries() -> None:
    lines = list(directives(SlurmJob(exclusive=False, mem="64G", cpus_per_task=16, retries=0)))
    assert "#SBATCH --mem=64G" in lines
    assert "#SBATCH --cpus-per-task=16" in lines
    assert "#SBATCH --no-requeue" in lines
    assert not {"#SBATCH --exclusive", "#SBATCH --requeue"} & set(lines)


@pytest.mark.parametrize("image", [None, "/shared/my image.sqsh"])
def test_script_is_bash(image: str | None, tmp_path: Path) -> None:
    path = tmp_path / "sbatch.sh"
    path.write_text(_script(SlurmJob(container_image=image, environment=(f"A={_HOSTILE}", "B"))))
    subprocess.run(["bash", "-n", path], check=True)
    subprocess.run(["bash", "-n", _ROOT / "runners" / "slurm" / "node.sh"], check=True)
    if shutil.which("shellcheck"):
        # What is written to be read by another shell, and functions that traps call.
        quiet = "--exclude=SC2016,SC2054,SC2329,SC2154,SC2174,SC1091"
        node = _ROOT / "runners" / "slurm" / "node.sh"
        subprocess.run(["shellcheck", "--shell=bash", quiet, path, node], check=True)


def test_words_reach_the_command_as_they_were_given(tmp_path: Path) -> None:
    work = Work(command=("curate", _HOSTILE, "", "two words"), is_pipeline=True)
    job = SlurmJob(environment=(f"A={_HOSTILE}",), flink_conf=(f"a.b={_HOSTILE}", "c.d=1"))
    told = _told(
        _script(job, work),
        'printf "%s\\n" "${BC_COMMAND[@]}" "$A" "$BC_FLINK_CONF"; env | grep -c "^A="',
    )
    assert told.split("\n") == [
        *("curate", _HOSTILE, "", "two words"),
        _HOSTILE,
        *(f"a.b: {_HOSTILE}", "c.d: 1"),
        *("1", ""),
    ]
    assert not Path("pwned").exists()


def test_container_gets_image_mounts_and_the_names_of_variables() -> None:
    job = SlurmJob(
        container_image="registry.example.org#curate:1",
        container_mounts=("/data:/data:ro,/models:/m",),
        environment=("TOKEN=s3cret", "HOME"),
    )
    told = _told(_script(job), 'printf "%s\\n" "${BC_CONTAINER[@]}"')
    assert told.splitlines() == [
        "--container-image=registry.example.org#curate:1",
        "--container-mounts=/data:/data:ro,/models:/m,/launch:/launch",
        "--container-env=TOKEN,HOME",
    ]
    assert _told(_script(SlurmJob()), 'echo "${#BC_CONTAINER[@]}"') == "0\n"


def test_variable_that_is_passed_on_must_be_set() -> None:
    script = _script(SlurmJob(environment=("SURELY_NOT_SET",)))
    with pytest.raises(subprocess.CalledProcessError) as caught:
        _told(script)
    assert "SURELY_NOT_SET is not set where sbatch was called" in caught.value.stderr


def test_lists_are_written_with_commas_or_as_words() -> None:
    assert split_list(["A=1,B=x\\,y", "C=3"]) == ["A=1", "B=x,y", "C=3"]


def test_script_is_the_same_for_the_same_options() -> None:
    job = SlurmJob(num_nodes=2, environment=("B=1", "A=2"))
    assert _script(job) == _script(job)
    assert "@@" not in _script(job)


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("num_nodes", "0", "num_nodes must be a whole number, at least 1; got"),
        ("time", "two hours", "time: needed minutes, hours:minutes:seconds"),
        ("partition", "a b", "partition: needed a partition"),
        ("job_name", "../x", "job_name: needed letters"),
        ("account", "a\n#SBATCH --uid=0", "account: needed an account"),
        ("comment", "a\nsrun evil", "comment: line breaks and control characters"),
        ("setup", "a\nb", "setup: line breaks"),
        ("login_node", "-oProxyCommand=evil", "login_node: needed HOST"),
        ("exclude_nodes", "$(id)", "exclude_nodes: needed node names"),
        ("gres", "gpu:1 --uid=0", "gres: needed such as gpu:8"),
        ("mail_type", "SOMETIMES", "mail_type"),
        ("environment", "1A=2", "environment: needed NAME=VALUE or NAME"),
        ("environment", "SLURM_JOB_ID=2", "environment: SLURM_JOB_ID is set by SLURM"),
        ("container_mounts", "/a:/b", "container_mounts: without --container_image"),
        ("sbatch_options", "--qos=1", "sbatch_options"),
        ("flink_conf", "a b", "flink_conf: needed key=value"),
        ("flink_home", "flink", "flink_home: needed an absolute path"),
        ("node_scratch", "/a b", "node_scratch: Flink's scripts allow no spaces"),
        ("log_dir", "~/logs", "log_dir: needed an absolute path"),
        ("remote_files_path", "here", "remote_files_path: needed an absolute path"),
        ("username", "me", "username: is the user on the login node"),
        ("nodez", "2", "--nodez: there is no such option; did you mean nodes?"),
    ],
)
def test_wrong_option_is_refused_by_name(
    option: str, value: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ended = _submit(capsys, f"--{option}={value}", "--render_only", *_CURATE)
    assert ended.status == 2
    ended.told(said)
    assert ended.out == ""


def test_bad_mount_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    image = ("--container_image", "i")
    for mount in ("/a", "a:/b", "/a:b", "/a:/b:$(id)", "/a:/b:ro:x"):
        ended = _submit(capsys, *image, f"--container_mounts={mount}", "--render_only", *_CURATE)
        assert ended.status == 2
        ended.told(f"got {mount!r}")


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ((), "needs a command after its options"),
        (("--",), "after -- comes the command"),
        (("--", "curat", "--limit", "1"), "curat: there is no such pipeline; did you mean curate?"),
        (("--", "curate", "--limmit", "1"), "--limmit: there is no such option"),
        (("--", "curate", "--input_video_path", "/v"), "curate needs output_clip_path"),
        ((*_CURATE, "--runner=DirectRunner"), "slurm submit starts Flink"),
        (("--", "verify", "/o"), "verify needs no cluster"),
        (("--", "python3", "-m", "beam_pipeline", "sample"), "sample needs no cluster"),
        (("--", "/nowhere/job.json"), "/nowhere/job.json"),
    ],
)
def test_wrong_command_is_refused_before_anything_is_submitted(
    command: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ended = _submit(capsys, "--render_only", *command)
    assert ended.status == 2
    ended.told(said)


@pytest.mark.parametrize("start", [(), ("beam-curate",), ("python3", "-m", "beam_pipeline")])
def test_pipeline_is_known_however_it_is_started(
    start: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    ended = _submit(capsys, "--num_nodes", "2", "--render_only", "--", *start, *_CURATE[1:])
    assert ended.status == 0, ended.err
    assert "BC_COMMAND=(curate --input_video_path /v --output_clip_path /o)" in ended.out
    assert "BC_IS_PIPELINE=1" in ended.out
    assert f"BC_PYTHON={sys.executable}" in ended.out
    assert f"BC_WORK_FOLDER={Path.cwd()}" in ended.out


def test_other_program_is_run_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    ended = _submit(capsys, "--render_only", "--", "/bin/sh", "-c", "exit 3", "--help")
    assert ended.status == 0, ended.err
    assert "BC_COMMAND=(/bin/sh -c 'exit 3' --help)" in ended.out
    assert "BC_IS_PIPELINE=''" in ended.out


def test_upstream_names_are_known(capsys: pytest.CaptureFixture[str]) -> None:
    ended = _submit(
        capsys,
        *("--login-node", "login.example.org", "--account", "a", "--partition", "p"),
        *("--container-image", "/i.sqsh", "--container-mounts", "/a:/b,/c:/d:ro"),
        *("--environment", "A=1,B=2", "--username", "me", "--job-name", "n", "--num-nodes", "4"),
        *("--gres", "gpu:8", "--exclusive", "--time", "04:00:00", "--stop-retries-after", "900"),
        *("--exclude-nodes", "n1", "--log-dir", "/l", "--comment", "c", "--mail-type", "END"),
        *("--mail-user", "me", "--remote-files-path", "~/x"),
        *("--prometheus-service-discovery-path", "/p", "--render-only"),
        *("--", "/not/here.json"),
    )
    assert ended.status == 0, ended.err
    assert "BC_READY_SECONDS=900" in ended.out
    assert "BC_PYTHON=python3" in ended.out


def test_login_node_without_container_needs_a_python(capsys: pytest.CaptureFixture[str]) -> None:
    ended = _submit(capsys, "--login_node", "login", "--render_only", *_CURATE)
    assert ended.status == 2
    ended.told("python: with --login_node give the Python that has beam-curate")


@pytest.mark.parametrize(
    ("words", "program"),
    [
        (("submit", *_CURATE), "sbatch"),
        (("status", "1"), "scontrol"),
        (("logs", "1"), "scontrol"),
        (("cancel", "1"), "scancel"),
    ],
)
def test_machine_without_slurm_is_no_login_node(
    words: tuple[str, ...],
    program: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    ended = use(capsys, "slurm", *words)
    assert ended.status == 1
    if words[0] != "logs":
        ended.told(f"{program} is not installed on this machine", "--login_node HOST")
    assert list(tmp_path.iterdir()) == []


def test_job_that_slurm_has_forgotten_is_told_by_its_accounting(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The lab has no accounting: here two programs say what those of SLURM 22.05 say."""
    programs = {
        "scontrol": "echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1",
        "sacct": "echo 'reels|CANCELLED by 1000|0:15|01:02:03|08:00:00|node[1-2]|/launch/a b'",
    }
    for name, lines in programs.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{lines}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    ended = use(capsys, "slurm", "status", "12")
    assert ended.status == 0, ended.err
    assert ended.out.splitlines() == [
        "job 12 reels",
        "  state    CANCELLED",
        "  exit     0:15",
        "  nodes    node[1-2]",
        "  time     01:02:03 of 08:00:00",
        "  folder   /launch/a b",
    ]


def test_commands_need_a_job_and_know_their_names(capsys: pytest.CaptureFixture[str]) -> None:
    for words, said in (
        (("status",), "slurm status needs the number of one job"),
        (("logs", "x"), "slurm logs needs the number of one job"),
        (("cancel", "1", "2"), "slurm cancel needs the number of one job"),
        (("statsu", "1"), "did you mean status?"),
        ((), "they are submit, status, logs, cancel"),
    ):
        ended = use(capsys, "slurm", *words)
        assert ended.status == 2
        ended.told(said)


def test_help_names_every_option_and_document_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert use(capsys, "slurm", "--help").status == 0
    for command in SLURM_COMMANDS:
        assert f"slurm {command}" in use(capsys, "slurm", command, "--help").out
    shown = use(capsys, "slurm", "submit", "--help").out
    page = (_ROOT / "docs" / "slurm.md").read_text(encoding="utf-8")
    for name, info in SlurmJob.model_fields.items():
        assert info.description, name
        if name != "prometheus_service_discovery_path":
            assert f"--{name}  " in shown, name
        assert re.search(rf"`(--)?{name}\b", page), f"docs/slurm.md does not tell of {name}"
