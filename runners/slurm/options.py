"""The options of ``slurm submit``; names and meanings are upstream's where it has them (§6.8)."""

from __future__ import annotations

import re
from typing import ClassVar, Literal

from pydantic import model_validator

from runners.slurm.lists import environment_problem, mount_problem, split_list
from transforms.section import Section, ignored, option

MailType = Literal[
    "NONE", "BEGIN", "END", "FAIL", "REQUEUE", "ALL", "TIME_LIMIT", "TIME_LIMIT_90", "TIME_LIMIT_80"
]

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_NAME = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"
_MEMORY = r"\d+[kKmMgGtT]?[bB]?"
_SHAPES = {
    "job_name": (_NAME, "letters, digits, dots, dashes and underscores"),
    "partition": (rf"{_NAME}(,{_NAME})*", "a partition, or several separated by commas"),
    "account": (r"[\w.@+-]+", "an account of SLURM"),
    "gres": (r"[\w:.,/-]+", "such as gpu:8 or gpu:h100:8, several separated by commas"),
    "exclude_nodes": (r"[\w.,\[\]-]+", "node names such as node[3-5],node9"),
    "time": (
        r"\d+(:\d+){0,2}|\d+-\d+(:\d+){0,2}|UNLIMITED|INFINITE",
        "minutes, hours:minutes:seconds, or days-hours:minutes:seconds",
    ),
    "mem": (r"\d+[KMGT]?", "megabytes, or a number with K, M, G or T; 0 is all of a node's memory"),
    "mail_user": (r"[^\s\"'\\@]+(@[^\s\"'\\@]+)?", "a mail address"),
    "username": (r"[A-Za-z_][\w.@-]*", "a user name"),
    "login_node": (r"[A-Za-z0-9\[:][\w.:@\[\]-]*", "HOST or USER@HOST"),
    "jobmanager_memory": (_MEMORY, "such as 1600m or 2g"),
    "taskmanager_memory": (_MEMORY, "such as 4g"),
    "network_interface": (r"[\w.:@-]+", "such as ib0"),
}
_PATHS = ("node_scratch", "flink_home", "java_home", "flink_job_server_jar")


class LoginOptions(Section):
    """Where SLURM's commands run, and where logs lie."""

    title: ClassVar[str] = "SLURM"

    login_node: str | None = None
    """Go by this host with ssh; default: this machine. No password can be asked for."""
    username: str | None = None
    """User on the login node."""
    ssh_config: str | None = None
    """Another configuration file for ssh (its option -F)."""
    remote_files_path: str = "~/curator_launch_files"
    """Folder that all nodes see; each submitted job gets a folder of its own in it."""
    log_dir: str | None = None
    """Folder for logs that all nodes see; default: the job's folder in ``remote_files_path``."""

    @model_validator(mode="after")
    def _check(self) -> LoginOptions:
        if problems := self._problems():
            raise ValueError("\n".join(problems))
        return self

    def _problems(self) -> list[str]:
        problems = [
            f"{name}: needed {needed}; got {value!r}"
            for name, (shape, needed) in _SHAPES.items()
            if (value := getattr(self, name, None)) is not None and not re.fullmatch(shape, value)
        ]
        for name in type(self).model_fields:
            value = getattr(self, name)
            texts = value if isinstance(value, tuple) else (value,)
            if any(isinstance(text, str) and _CONTROL.search(text) for text in texts):
                problems.append(f"{name}: line breaks and control characters cannot be given")
        if not re.match(r"~?/.|~$", self.remote_files_path):
            problems.append(
                "remote_files_path: needed an absolute path or one that begins with ~/; "
                f"got {self.remote_files_path!r}"
            )
        if self.log_dir is not None and not self.log_dir.startswith("/"):
            problems.append(f"log_dir: needed an absolute path; got {self.log_dir!r}")
        if self.username and not self.login_node:
            problems.append("username: is the user on the login node; give --login_node HOST too")
        return problems


class LogOptions(LoginOptions):
    """Which logs to show."""

    component: Literal["job", "jobmanager", "taskmanager", "all"] = "job"
    """Whose log: the job's own, which has what the pipeline prints, or those of Flink's parts."""
    lines: int = option(100, ge=1)
    """How many lines from the end of each."""
    follow: bool = False
    """Go on with what is added, until the job ends."""


class SlurmJob(LoginOptions):
    """Where a SLURM job runs, what it is given, and what runs in it."""

    title: ClassVar[str] = "SLURM job"
    aliases: ClassVar[dict[str, str]] = {
        "nodes": "num_nodes",
        "exclude": "exclude_nodes",
        "image": "container_image",
        "mounts": "container_mounts",
        "ready_seconds": "stop_retries_after",
    }

    num_nodes: int = option(1, ge=1)
    """Number of nodes; each runs one TaskManager, the first the JobManager and the driver too."""
    partition: str | None = None
    """Partition; default: the cluster's own default."""
    account: str | None = None
    """Account that the time is charged to."""
    gres: str | None = None
    """What each node must have besides cores, e.g. ``gpu:8``; the workers see those GPUs."""
    time: str | None = None
    """Time limit, e.g. ``4:00:00`` or ``2-00``. When it comes near, the run ends in order, and
    while ``retries`` are left the job goes back into the queue and goes on."""
    exclusive: bool = True
    """Take whole nodes, with all their cores and memory."""
    mem: str | None = None
    """Memory per node, e.g. ``64G``; default: all when exclusive, else the cluster's default."""
    cpus_per_task: int | None = option(None, ge=1)
    """Cores per node; needed only with ``--no-exclusive``."""
    exclude_nodes: str | None = None
    """Nodes not to run on, e.g. ``node[3-5]``."""
    job_name: str = "beam_curate"
    """Name of the job; the first part of the names of its logs."""
    comment: str | None = None
    """Comment that SLURM keeps with the job."""
    mail_type: tuple[MailType, ...] = ()
    """Events that send mail to ``mail_user``."""
    mail_user: str | None = None
    """Who gets the mail; default: the user."""
    sbatch_options: tuple[str, ...] = ()
    """More options of sbatch, e.g. ``qos=high constraint=a100``."""
    retries: int = option(3, ge=0)
    """How often the job goes back into the queue by itself when its time limit comes near or Flink
    is lost; it goes on where it was. 0: never, not even when it is preempted."""
    signal_seconds: int = option(120, unit="seconds", ge=60, le=3600)
    """So long before the time limit the run is asked to end."""
    stop_retries_after: int = option(600, unit="seconds", ge=10)
    """How long Flink may take to start on all nodes, container images included."""
    container_image: str | None = None
    """Image that everything runs in, by pyxis and enroot: a .sqsh file or a name in a registry."""
    container_mounts: tuple[str, ...] = ()
    """Folders to see inside, as ``SOURCE:TARGET`` or ``SOURCE:TARGET:ro``, separated by commas or
    spaces; the job's own folder is mounted anyway."""
    environment: tuple[str, ...] = ()
    """Environment variables, as ``NAME=VALUE`` or ``NAME``, separated by commas or spaces; a comma
    in a value is written ``\\,``. ``NAME`` alone passes on what sbatch is called with."""
    setup: str | None = None
    """A line of bash that runs first on every node, in the container if there is one, e.g.
    ``module load java/17``."""
    python: str | None = None
    """Python with beam-curate on every node; default: this one, or ``python3`` in a container."""
    flink_home: str | None = None
    """Folder of a Flink on every node; default: ``$FLINK_HOME``, else that of ``python``."""
    java_home: str | None = None
    """Folder of a JDK 11 or 17 on every node; default: ``$JAVA_HOME``, else that of ``java``."""
    flink_job_server_jar: str | None = None
    """Beam's job server; default: as the Flink runner finds it (docs/runners.md)."""
    slots_per_node: int | None = option(None, ge=1)
    """Flink slots: how many videos are worked on at once; default: the cores of the node."""
    jobmanager_memory: str = "1600m"
    """Memory of the JobManager's JVM."""
    taskmanager_memory: str | None = None
    """Memory of each TaskManager's JVM, workers not included; default: by the number of slots."""
    flink_conf: tuple[str, ...] = ()
    """Settings of Flink, as ``key=value``."""
    network_interface: str | None = None
    """Interface of the first node that the others reach it by; default: that of its name."""
    node_scratch: str | None = None
    """Local folder of every node for files in work; default: its folder for temporary files."""
    render_only: bool = False
    """Print the sbatch script and submit nothing."""
    prometheus_service_discovery_path: str | None = ignored(
        None, instead="flink_conf metrics.reporter.prom.factory.class=..., Flink's own reporter"
    )
    """A file that tells Prometheus where the nodes are."""

    def _problems(self) -> list[str]:
        return [*super()._problems(), *self._path_problems(), *self._list_problems()]

    def _path_problems(self) -> list[str]:
        problems = []
        for name in _PATHS:
            value = getattr(self, name)
            if value is not None and not value.startswith("/"):
                problems.append(
                    f"{name}: needed an absolute path, the same on all nodes; got {value!r}"
                )
            elif value is not None and re.search(r"\s", value):
                problems.append(f"{name}: Flink's scripts allow no spaces in it; got {value!r}")
        if self.container_mounts and not self.container_image:
            problems.append("container_mounts: without --container_image there is no container")
        return problems

    def _list_problems(self) -> list[str]:
        return [
            *filter(None, map(mount_problem, self.mounts)),
            *filter(None, map(environment_problem, self.variables)),
            *(
                f"sbatch_options: needed NAME or NAME=VALUE, e.g. qos=high; got {one!r}"
                for one in self.sbatch_options
                if not re.fullmatch(r"[a-z][a-z-]*(=.+)?", one)
            ),
            *(
                f"flink_conf: needed key=value, e.g. akka.ask.timeout=60s; got {one!r}"
                for one in self.flink_conf
                if not re.fullmatch(r"[a-z][\w.-]*=.+", one)
            ),
        ]

    @property
    def mounts(self) -> list[str]:
        """The mounts of the container, each as it was written."""
        return split_list(self.container_mounts)

    @property
    def variables(self) -> list[str]:
        """The variables, each ``NAME=VALUE`` or ``NAME``."""
        return split_list(self.environment)
