"""Help of the command ``slurm``, its options generated from the sections."""

from __future__ import annotations

import inspect
import shutil

from beam_pipeline.configuration.help_text import option_lines
from beam_pipeline.configuration.options import section_options
from runners.slurm.options import LoginOptions, LogOptions, SlurmJob

_SUBMIT = """\
python -m beam_pipeline slurm submit [options] -- split|shard|curate|FILE.json [pipeline options]

Submits one SLURM job that starts Flink on its nodes (a JobManager on the first, a TaskManager on
each), runs the pipeline in it with --runner=FlinkRunner, and takes Flink down again. The job's exit
status is the pipeline's. The pipeline's options are checked before anything is submitted. Another
program after -- is run as it is, with FLINK_MASTER=HOST:PORT in its environment.

Input, output, Python environment and --remote_files_path lie on a disk that all nodes see under the
same path. A job that is cancelled, preempted or out of time has lost nothing: the same submit goes
on, and with --retries left the job does so by itself. docs/slurm.md begins at zero.

Examples
  python -m beam_pipeline slurm submit --num_nodes 4 --time 8:00:00 --partition batch -- \\
      curate --input_video_path /shared/videos --output_clip_path /shared/out/processed
  python -m beam_pipeline slurm submit --login_node login.example.org --container_image \\
      /shared/curate.sqsh --container_mounts /shared:/shared --gres gpu:8 -- /shared/job.json
  python -m beam_pipeline slurm submit --num_nodes 2 --render_only -- curate ...   # look first
"""
_OTHERS = {
    "status": "python -m beam_pipeline slurm status JOB [options]\n\n"
    "Says what SLURM knows of a job: its state and why, nodes, time, restarts, folder and log.\n",
    "logs": "python -m beam_pipeline slurm logs JOB [options]\n\n"
    "Shows the end of a job's log, also of jobs that SLURM has forgotten.\n",
    "cancel": "python -m beam_pipeline slurm cancel JOB [options]\n\n"
    "Ends a job in order. What is finished stays; the same submit goes on from there.\n",
}
_OVERVIEW = """\
python -m beam_pipeline slurm submit [options] -- PIPELINE ...   runs a pipeline on a cluster
python -m beam_pipeline slurm status JOB                         what SLURM knows of a job
python -m beam_pipeline slurm logs JOB [--follow]                what it printed
python -m beam_pipeline slurm cancel JOB                         ends it

With --login_node HOST each goes by ssh; else SLURM's commands of this machine are used.
More: python -m beam_pipeline slurm submit|status|logs|cancel --help, and docs/slurm.md.
"""


def slurm_help(command: str) -> str:
    """Return the help of a command of ``slurm``, or of all when it is none."""
    if command == "submit":
        return _with_options(_SUBMIT, SlurmJob)
    if command in _OTHERS:
        return _with_options(_OTHERS[command], LogOptions if command == "logs" else LoginOptions)
    return _OVERVIEW


def _with_options(text: str, section: type[LoginOptions]) -> str:
    width = max(60, min(100, shutil.get_terminal_size().columns))
    lines = [inspect.cleandoc(text), "", "Options"]
    for option in section_options("slurm", section):
        if not option.instead:
            lines += option_lines(option, width)
    return "\n".join(lines)
