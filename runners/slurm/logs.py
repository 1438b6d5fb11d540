"""The logs of a job: its own, and those of Flink's parts beside it."""

from __future__ import annotations

import re

from runners.slurm.jobs import find_job
from runners.slurm.login import Login
from transforms.errors import PreflightError

# Prints the log of the job, wherever below the folders it lies.
_FIND = (
    'for folder; do case $folder in "~") folder=$HOME;; "~/"*) folder=$HOME/${folder#"~/"};; esac; '
    'for log in "$folder"/*_"$0".log "$folder"/*/*_"$0".log; do '
    '[ -e "$log" ] && echo "$log"; done; done; true'
)
_SHOW = (
    'for log in "$1"/attempt-*/$2.log; do [ -e "$log" ] || continue; found=1; '
    'echo "==> $log"; tail -n "$0" -- "$log"; done; [ -n "$found" ]'
)


def job_log(job_id: str, folders: list[str], login: Login) -> str:
    """Return the path of a job's log.

    Args:
        job_id: Number of the job.
        folders: Where to look when SLURM has forgotten the job.
        login: Where to ask.

    Raises:
        PreflightError: It is nowhere.
    """
    try:
        job = find_job(job_id, login)
    except PreflightError:
        known = ""
    else:
        known = job.log or (f"{job.folder}/{job.name}_{job_id}.log" if job.folder else "")
    if known and login.run(["test", "-e", known]).status == 0:
        return known
    found = login.run(["sh", "-c", _FIND, job_id, *folders]).out.splitlines()
    if found:
        return found[-1]
    where = ", ".join([*([known] if known else []), *folders])
    raise PreflightError(
        f"no log of job {job_id} on {login.name} (looked at {where}); a job that waits has none "
        "yet, and --remote_files_path or --log_dir must be those it was submitted with"
    )


def show_log(log: str, *, component: str, lines: int, login: Login) -> None:
    """Print the end of a log, or of the logs of Flink's parts.

    Args:
        log: Of the job.
        component: ``job``, ``jobmanager``, ``taskmanager`` or ``all``.
        lines: How many of each.
        login: Where it lies.

    Raises:
        PreflightError: There is none.
    """
    if component in ("job", "all"):
        login.stream(["tail", "-n", str(lines), "--", log])
    if component == "job":
        return
    pattern = {"all": "*", "jobmanager": "jobmanager", "taskmanager": "taskmanager-*"}[component]
    folder = re.sub(r"\.log$", "", log)
    show = _SHOW.replace("$2", pattern)
    if login.stream(["sh", "-c", show, str(lines), folder]) != 0 and component != "all":
        raise PreflightError(f"{folder} has no log of a {component}: Flink was not started yet")


def follow_log(log: str, job_id: str, *, lines: int, login: Login) -> None:
    """Print the end of a job's log and what is added to it, until the job ends."""
    # Without a terminal nothing tells the shell there that nobody listens any more: it looks.
    follow = (
        'tail -n "$3" -F -- "$1" 2>/dev/null & tail=$!; trap "kill $tail" EXIT; '
        'while kill -0 "$PPID" && squeue -h -j "$2" -o %T | grep -q .; do sleep 3; done '
        "2>/dev/null; sleep 1"
    )
    login.stream(["sh", "-c", follow, "sh", log, job_id, str(lines)])
