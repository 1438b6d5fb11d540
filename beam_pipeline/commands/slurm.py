"""The commands ``slurm submit | status | logs | cancel``."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from beam_pipeline.commands.sample import sample_options
from beam_pipeline.configuration.arguments import COMMANDS, Arguments, parse_arguments, read_options
from beam_pipeline.configuration.config import PIPELINES
from beam_pipeline.configuration.config_files import SUFFIXES
from beam_pipeline.configuration.configured import configured
from beam_pipeline.configuration.nearest import nearest
from beam_pipeline.configuration.option_values import BadValueError, bad_value, to_value
from beam_pipeline.configuration.options import section_options
from beam_pipeline.exit_status import EXIT_OK
from beam_pipeline.version import VERSION
from runners.slurm.jobs import cancel_job, find_job, job_lines
from runners.slurm.login import Login
from runners.slurm.logs import follow_log, job_log, show_log
from runners.slurm.options import LoginOptions, LogOptions, SlurmJob
from runners.slurm.render import Work, render
from runners.slurm.submit import next_commands, submit
from transforms.errors import UsageError

SLURM_COMMANDS = ("submit", "status", "logs", "cancel")
_ROOT = Path(__file__).resolve().parents[2]

AnyOptions = TypeVar("AnyOptions", bound=LoginOptions)


def run_slurm(words: Sequence[str]) -> int:
    """Run a command of ``slurm`` and return its exit status.

    Args:
        words: What follows ``slurm`` on the command line.

    Raises:
        UsageError: A word, an option or the pipeline's command is wrong; nothing was submitted.
        PreflightError: The cluster cannot be reached or refuses; its own words are passed on.
    """
    command = words[0] if words else ""
    if command not in SLURM_COMMANDS:
        hint = nearest(command, SLURM_COMMANDS) or f"; they are {', '.join(SLURM_COMMANDS)}"
        raise UsageError(f"slurm {command or '(nothing)'}: there is no such command{hint}")
    if command == "submit":
        return _submit(list(words[1:]))
    job_id, rest = _job_id(command, list(words[1:]))
    if command == "logs":
        return _logs(job_id, _options(LogOptions, rest))
    login = _login(_options(LoginOptions, rest))
    if command == "status":
        print("\n".join(job_lines(find_job(job_id, login))))
    else:
        cancel_job(job_id, login)
        print(f"job {job_id} is asked to end; the same submit goes on where it was")
    return EXIT_OK


def _submit(words: list[str]) -> int:
    if "--" not in words:
        raise UsageError(
            "slurm submit needs a command after its options: python -m beam_pipeline slurm submit "
            "--num_nodes 2 -- curate --input_video_path VIDEOS --output_clip_path OUT"
        )
    middle = words.index("--")
    job = _options(SlurmJob, words[:middle])
    work = _work(job, words[middle + 1 :])
    job = _with_python(job)
    script = render(job, work, version=VERSION)
    if job.render_only:
        print(script, end="")
        return EXIT_OK
    if job.prometheus_service_discovery_path:
        print("Warning: prometheus_service_discovery_path has no effect here", file=sys.stderr)
    login = _login(job)
    submitted = submit(job, script, login)
    print(f"Job submitted with ID: {submitted.job_id}")
    print("\n".join(next_commands(submitted, login)))
    return EXIT_OK


def _logs(job_id: str, options: LogOptions) -> int:
    login = _login(options)
    folders = [*([options.log_dir] if options.log_dir else []), options.remote_files_path]
    if login.host is None:
        folders = [str(Path(folder).expanduser()) for folder in folders]
    log = job_log(job_id, folders, login)
    if options.follow:
        follow_log(log, job_id, lines=options.lines, login=login)
    else:
        show_log(log, component=options.component, lines=options.lines, login=login)
    return EXIT_OK


def _login(options: LoginOptions) -> Login:
    return Login(options.login_node, options.username, options.ssh_config)


def _job_id(command: str, words: list[str]) -> tuple[str, list[str]]:
    ids = [index for index, word in enumerate(words) if re.fullmatch(r"\d+", word)]
    # The number of lines is no job.
    ids = [index for index in ids if index == 0 or words[index - 1] != "--lines"]
    if len(ids) != 1:
        raise UsageError(
            f"slurm {command} needs the number of one job, as slurm submit prints it; got "
            f"{' '.join(words) or 'nothing'}"
        )
    return words[ids[0]], words[: ids[0]] + words[ids[0] + 1 :]


def _options(section: type[AnyOptions], words: list[str]) -> AnyOptions:
    options = {found.name: found for found in section_options("slurm", section)}
    arguments = Arguments("slurm")
    read_options(words, options, arguments, with_beam=False)
    written = arguments.overrides
    try:
        values = {name: to_value(options[name], value) for name, value in written.items()}
        return section(**values)
    except BadValueError as error:
        raise UsageError(str(error)) from error
    except ValidationError as error:
        raise UsageError("\n".join(_problems(error, options, written))) from error


def _problems(
    error: ValidationError, options: Mapping[str, Any], written: Mapping[str, Any]
) -> list[str]:
    return [
        bad_value(options[str(detail["loc"][0])], written[str(detail["loc"][0])])
        if detail["loc"]
        else detail["msg"].removeprefix("Value error, ")
        for detail in error.errors()
    ]


def _with_python(job: SlurmJob) -> SlurmJob:
    if job.python or job.container_image:
        return job
    if job.login_node:
        raise UsageError(
            "python: with --login_node give the Python that has beam-curate on the cluster's "
            "nodes, e.g. --python /shared/venv/bin/python, or a --container_image that has it"
        )
    return job.model_copy(update={"python": sys.executable})


def _work(job: SlurmJob, command: list[str]) -> Work:
    """Return what the job runs: a pipeline of ours, checked here, or another program."""
    words = _own_words(command)
    if not words:
        raise UsageError(
            "slurm submit: after -- comes the command to run, e.g. -- curate --limit 10"
        )
    is_here = job.login_node is None and job.container_image is None
    is_pipeline = words[0] in PIPELINES or words[0].lower().endswith(SUFFIXES)
    if is_pipeline:
        _check_pipeline(words, is_here=is_here)
    elif words != command or words[0] in COMMANDS:
        raise UsageError(
            f"slurm submit: {words[0]} needs no cluster; run it as it is, or on a node: srun "
            f"{job.python or 'python3'} -m beam_pipeline {' '.join(words)}"
        )
    elif "/" not in words[0] and (hint := nearest(words[0], PIPELINES)):
        raise UsageError(f"{words[0]}: there is no such pipeline{hint}")
    return Work(
        command=tuple(words),
        is_pipeline=is_pipeline,
        work_folder=str(Path.cwd()) if is_here else "",
        python_path=_python_path() if is_here and not job.python else "",
    )


def _own_words(command: list[str]) -> list[str]:
    """Return the words of a command without what starts this program."""
    if command[:1] and Path(command[0]).name == "beam-curate":
        return command[1:]
    python = bool(command[:1]) and Path(command[0]).name.startswith("python")
    return command[3:] if python and command[1:3] == ["-m", "beam_pipeline"] else command


def _check_pipeline(words: list[str], *, is_here: bool) -> None:
    """Raise for what the pipeline would refuse an hour later, when the job has its nodes."""
    arguments = parse_arguments(words, sample_options())
    if arguments.command != "run":
        raise UsageError(f"slurm submit: {' '.join(words)} runs no pipeline; it needs no cluster")
    if runner := [flag for flag in arguments.beam_flags if flag.startswith("--runner")]:
        raise UsageError(
            f"{runner[0]}: slurm submit starts Flink and says so to the pipeline; leave it out"
        )
    # A file of the cluster cannot be read from here.
    if is_here or arguments.file is None or Path(arguments.file).exists():
        configured(arguments)


def _python_path() -> str:
    """Return the folder of a checkout that is run in place; empty for an installed program."""
    return "" if "site-packages" in _ROOT.parts else str(_ROOT)
