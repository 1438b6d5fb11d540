"""What SLURM tells of a job, with and without its accounting."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from runners.slurm.login import Login
from transforms.errors import PreflightError

_FIELD = r"(?:^|\s){}=(.*?)(?=\s[A-Z][\w/:]*=|$)"
_SACCT = ("JobName", "State", "ExitCode", "Elapsed", "Timelimit", "NodeList", "WorkDir")
RUNNING = frozenset({"RUNNING", "COMPLETING", "SUSPENDED", "STOPPED"})
WAITING = frozenset({"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED"})


@dataclass(frozen=True)
class Job:
    """A job as SLURM describes it; what SLURM does not tell is empty."""

    job_id: str
    name: str
    state: str
    exit_code: str
    """``STATUS:SIGNAL``; the status is the pipeline's."""
    elapsed: str
    time_limit: str
    nodes: str
    folder: str
    """Where sbatch was called: the job's own folder."""
    log: str = ""
    reason: str = ""
    restarts: str = ""

    @property
    def is_over(self) -> bool:
        """Whether it has ended for good."""
        return self.state not in RUNNING | WAITING


def find_job(job_id: str, login: Login) -> Job:
    """Return a job.

    Raises:
        PreflightError: SLURM cannot be asked, or knows no such job (any more).
    """
    shown = login.run(["scontrol", "show", "job", "-o", job_id])
    if shown.status == 0 and "JobState=" in shown.out:
        return _from_scontrol(job_id, shown.out)
    if "Invalid job id" not in shown.message:
        raise PreflightError(f"SLURM on {login.name} cannot be asked: {shown.message}")
    # scontrol forgets a job minutes after its end; the accounting, where there is one, does not.
    fields = ",".join(_SACCT)
    told = login.run(["sacct", "-X", "-P", "-n", "-j", job_id, f"--format={fields}"])
    lines = [line for line in told.out.splitlines() if line.count("|") == len(_SACCT) - 1]
    if told.status == 0 and lines:
        return _from_sacct(job_id, lines[-1])
    without = " (it keeps no accounting)" if told.status != 0 else ""
    raise PreflightError(
        f"SLURM on {login.name} knows no job {job_id}{without}; jobs that ended some minutes ago "
        "are forgotten, their logs are not: python -m beam_pipeline slurm logs"
        f" {job_id}{login.options}"
    )


def _from_scontrol(job_id: str, line: str) -> Job:
    def field(name: str) -> str:
        found = re.search(_FIELD.format(name), line.strip())
        return "" if found is None or found[1] in ("(null)", "None") else found[1]

    return Job(
        job_id=job_id,
        name=field("JobName"),
        state=field("JobState"),
        exit_code=field("ExitCode"),
        elapsed=field("RunTime"),
        time_limit=field("TimeLimit"),
        nodes=field("NodeList"),
        folder=field("WorkDir"),
        log=field("StdOut"),
        reason=field("Reason"),
        restarts=field("Restarts"),
    )


def _from_sacct(job_id: str, line: str) -> Job:
    name, state, exit_code, elapsed, limit, nodes, folder = line.split("|")
    # "CANCELLED by 1000"
    return Job(job_id, name, state.split()[0], exit_code, elapsed, limit, nodes, folder)


def cancel_job(job_id: str, login: Login) -> None:
    """Ask SLURM to end a job.

    Raises:
        PreflightError: SLURM refuses; its own words are passed on.
    """
    answer = login.run(["scancel", "--verbose", job_id])
    if answer.status != 0 or "Invalid job id" in answer.err:
        raise PreflightError(f"job {job_id} cannot be cancelled: {answer.message}")


def job_lines(job: Job) -> Sequence[str]:
    """Return what there is to say of a job, a line each."""
    told = {
        "state": f"{job.state}{f' ({job.reason})' if job.reason else ''}",
        "exit": job.exit_code if job.is_over else "",
        "nodes": job.nodes,
        "time": f"{job.elapsed} of {job.time_limit}",
        "restarts": job.restarts if job.restarts != "0" else "",
        "folder": job.folder,
        "log": job.log,
    }
    return [
        f"job {job.job_id} {job.name}",
        *(f"  {name:<9}{value}" for name, value in told.items() if value),
    ]
