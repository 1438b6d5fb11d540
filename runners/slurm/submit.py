"""Submits a rendered script: a folder of its own on a disk that all nodes see, then sbatch."""

from __future__ import annotations

import shlex
import time
import uuid
from dataclasses import dataclass

from runners.slurm.login import Login
from runners.slurm.options import SlurmJob
from transforms.errors import PreflightError

SCRIPT = "sbatch.sh"

# The folder is made by whoever may read it alone: values of variables stand in the script.
_PLACE = (
    'case $1 in "~") base=$HOME;; "~/"*) base=$HOME/${1#"~/"};; *) base=$1;; esac && '
    'umask 077 && mkdir -p -- "$base" && cd -- "$base" && mkdir -- "$2" && cd -- "$2" && '
    f"cat > {SCRIPT} && pwd"
)
_MISSING = 'for path; do [ -e "$path" ] || echo "$path"; done'


@dataclass(frozen=True)
class Submitted:
    """A job that SLURM has accepted."""

    job_id: str
    folder: str
    """Its own folder, where the script lies."""
    log: str


def submit(job: SlurmJob, script: str, login: Login) -> Submitted:
    """Put the script on the cluster and submit it.

    Raises:
        PreflightError: The login node cannot be reached, has no sbatch, cannot write the folder,
            lacks a path that is to be mounted, or sbatch refuses; its own words are passed on.
    """
    login.require("sbatch")
    _check_paths(job, login)
    if job.log_dir:
        _made(login, job.log_dir)
    name = f"{job.job_name}.{time.strftime('%Y%m%dT%H%M%S')}-{uuid.uuid4().hex[:6]}"
    placed = login.run(["sh", "-c", _PLACE, "sh", job.remote_files_path, name], stdin=script)
    if placed.status != 0:
        raise PreflightError(
            f"{job.remote_files_path} cannot be written on {login.name}: {placed.message}; "
            "--remote_files_path names a folder that all nodes see"
        )
    folder = placed.out.strip().splitlines()[-1]
    answer = login.run(["sh", "-c", f'cd -- "$1" && exec sbatch --parsable {SCRIPT}', "sh", folder])
    if answer.status != 0:
        login.run(["rm", "-r", "--", folder])
        raise PreflightError(f"sbatch refused the job: {answer.message}{_hint(answer.message)}")
    # The name of the cluster follows where there are several.
    job_id = answer.out.strip().splitlines()[-1].partition(";")[0]
    return Submitted(job_id, folder, f"{job.log_dir or folder}/{job.job_name}_{job_id}.log")


def _check_paths(job: SlurmJob, login: Login) -> None:
    sources = [mount.partition(":")[0] for mount in job.mounts]
    image = job.container_image or ""
    paths = [*sources, *([image] if image.startswith("/") else [])]
    if not paths:
        return
    missing = login.run(["sh", "-c", _MISSING, "sh", *paths]).out.split("\n")
    if any(missing):
        raise PreflightError(
            f"not on {login.name}: {', '.join(filter(None, missing))} (container_image, "
            "container_mounts); they must be on a disk that all nodes see"
        )


def _made(login: Login, folder: str) -> None:
    made = login.run(["mkdir", "-p", "--", folder])
    if made.status != 0:
        raise PreflightError(f"log_dir {folder} cannot be made on {login.name}: {made.message}")


def _hint(message: str) -> str:
    if "partition" in message.lower():
        return "; sinfo -s lists the partitions"
    if "account" in message.lower():
        return "; sacctmgr show associations user=$USER lists your accounts"
    if "gres" in message.lower() or "configuration is not available" in message.lower():
        return "; sinfo -N -o '%N %P %c %m %G' lists what the nodes have"
    return ""


def next_commands(submitted: Submitted, login: Login) -> list[str]:
    """Return the lines that tell what can be done with the job."""
    program, options = "python -m beam_pipeline slurm", login.options
    return [
        f"  {what:<8}{program} {command} {submitted.job_id}{options}"
        for what, command in (("state", "status"), ("log", "logs --follow"), ("end", "cancel"))
    ] + [f"  log in  {shlex.quote(submitted.log)}"]
