"""Renders the sbatch script of a job: what was asked for, between lines that never change."""

from __future__ import annotations

import shlex
import string
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from runners.slurm.options import SlurmJob

_HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Work:
    """What runs inside the job."""

    command: tuple[str, ...]
    """Words of the command; those of a pipeline of ours without ``python -m beam_pipeline``."""
    is_pipeline: bool
    """Whether it is ours, and gets the runner's options."""
    work_folder: str = ""
    """Where it is started; empty: where SLURM starts jobs."""
    python_path: str = ""
    """Put before PYTHONPATH on every node."""


class _Template(string.Template):
    delimiter = "@@"


def render(job: SlurmJob, work: Work, *, version: str) -> str:
    """Return the sbatch script that runs ``work`` in a Flink cluster of its own.

    Every text of the user stands in it as one quoted word, except ``setup``, which is bash.

    Args:
        job: What to ask of SLURM.
        work: What to run.
        version: Of this program; stands in the script for whoever reads it.
    """
    return _Template(_read("sbatch.sh")).substitute(
        directives="\n".join(directives(job)),
        settings="\n".join(_settings(job, work)),
        node=_read("node.sh").rstrip("\n"),
        version=version,
    )


def _read(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


def directives(job: SlurmJob) -> Iterator[str]:
    """Yield the ``#SBATCH`` lines of a job."""
    for name, value in _sbatch_options(job):
        yield f"#SBATCH --{name}" + ("" if value is None else f"={_quoted(value)}")


def _sbatch_options(job: SlurmJob) -> Iterator[tuple[str, str | None]]:
    yield "job-name", job.job_name
    yield "nodes", str(job.num_nodes)
    yield "ntasks-per-node", "1"
    given = {
        "partition": job.partition,
        "account": job.account,
        "gres": job.gres,
        "time": job.time,
        "exclude": job.exclude_nodes,
        "cpus-per-task": None if job.cpus_per_task is None else str(job.cpus_per_task),
        "mem": job.mem or ("0" if job.exclusive else None),
        "comment": job.comment,
        "mail-type": ",".join(job.mail_type) or None,
        "mail-user": job.mail_user,
    }
    yield from ((name, value) for name, value in given.items() if value)
    if job.exclusive:
        yield "exclusive", None
    yield "output", f"{job.log_dir}/%x_%j.log" if job.log_dir else "%x_%j.log"
    yield "open-mode", "append"
    # To the batch script alone, which ends the others in their order.
    yield "signal", f"B:USR1@{job.signal_seconds}"
    yield "requeue" if job.retries else "no-requeue", None
    for more in job.sbatch_options:
        name, equals, value = more.partition("=")
        yield name, value if equals else None


def _quoted(value: str) -> str:
    """Return a value as sbatch reads it in a script: it knows quotes, backslashes and comments."""
    if all(char.isalnum() or char in "%+,-./:=@_[]" for char in value):
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _settings(job: SlurmJob, work: Work) -> Iterator[str]:
    python = job.python or "python3"
    values = {
        "BC_LOG_FOLDER": job.log_dir,
        "BC_RETRIES": str(job.retries),
        "BC_READY_SECONDS": str(job.stop_retries_after),
        "BC_NETWORK_INTERFACE": job.network_interface,
        "BC_PYTHON": python,
        "BC_PYTHON_PATH": work.python_path,
        "BC_FLINK_HOME": job.flink_home,
        "BC_JAVA_HOME": job.java_home,
        "BC_JAR": job.flink_job_server_jar,
        "BC_SETUP": job.setup,
        "BC_SCRATCH": job.node_scratch,
        "BC_SLOTS": None if job.slots_per_node is None else str(job.slots_per_node),
        "BC_JOBMANAGER_MEMORY": job.jobmanager_memory,
        "BC_TASKMANAGER_MEMORY": job.taskmanager_memory,
        "BC_WORK_FOLDER": work.work_folder,
        "BC_IS_PIPELINE": "1" if work.is_pipeline else "",
    }
    yield from (f"{name}={shlex.quote(value or '')}" for name, value in values.items())
    conf = [": ".join(one.split("=", 1)) for one in job.flink_conf]
    yield f"BC_FLINK_CONF={_lines(conf)}"
    yield f"BC_COMMAND=({shlex.join(work.command)})"
    yield from _environment(job.variables)
    yield f"BC_CONTAINER=({' '.join(_container(job))})"


def _lines(lines: Sequence[str]) -> str:
    return "$'\\n'".join(map(shlex.quote, lines)) or "''"


def _environment(variables: Sequence[str]) -> Iterator[str]:
    for variable in variables:
        name, equals, value = variable.partition("=")
        if equals:
            yield f"export {name}={shlex.quote(value)}"
        else:
            told = (
                f"{name} is not set where sbatch was called, and --environment {name} passes it on"
            )
            yield f': "${{{name}?{told}}}"; export {name}'


def _container(job: SlurmJob) -> Iterator[str]:
    """Yield the words of srun by which pyxis starts a container, quoted for bash."""
    if not job.container_image:
        return
    yield shlex.quote(f"--container-image={job.container_image}")
    mounts = ",".join(job.mounts)
    # The job's own folder is known only when it runs.
    own = (
        '"$SLURM_SUBMIT_DIR:$SLURM_SUBMIT_DIR"'
        if not job.log_dir
        else (shlex.quote(f"{job.log_dir}:{job.log_dir}"))
    )
    yield f"--container-mounts={shlex.quote(mounts + ',') if mounts else ''}{own}"
    if names := [variable.partition("=")[0] for variable in job.variables]:
        yield f"--container-env={','.join(names)}"
