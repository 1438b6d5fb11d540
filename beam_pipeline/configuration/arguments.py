"""Command lines: which command, which pipeline, which options are ours and which are Beam's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from beam_pipeline.configuration.beam_options import beam_flag, beam_option_names, takes_value
from beam_pipeline.configuration.config import PIPELINES
from beam_pipeline.configuration.config_files import SUFFIXES
from beam_pipeline.configuration.nearest import nearest
from beam_pipeline.configuration.option_values import FALSE, TRUE
from beam_pipeline.configuration.options import Option, by_every_name, canonical
from transforms.errors import UsageError

COMMANDS = (
    "split",
    "shard",
    "curate",
    "recaption",
    "plan",
    "verify",
    "sample",
    "slurm",
    "models",
)
REPAIR = "repair"
"""Option of ``verify``, and its key among the overrides."""
PROFILE = "output_s3_profile_name"
"""Option of ``verify``, and its key among the overrides: whose credentials open what it reads."""
HELP = ("--help", "-h", "help")


@dataclass
class Arguments:
    """What a command line asks for."""

    command: str
    """``quickstart``, ``run``, ``plan``, ``verify``, ``sample``, ``help`` or ``version``."""
    pipeline: str | None = None
    """Named on the command line; for ``help`` the command to explain."""
    file: str | None = None
    overrides: dict[str, Any] = field(default_factory=dict)
    """Options of ours: text, or true and false where an option stood alone."""
    beam_flags: list[str] = field(default_factory=list)
    """For ``PipelineOptions``."""
    path: str | None = None
    """Of ``verify``: the output or dataset."""


def all_options() -> dict[str, Option]:
    """Return the options of all pipelines; a name means the same in each."""
    return {
        name: option for config in PIPELINES.values() for name, option in config.options().items()
    }


def parse_arguments(argv: list[str], sample_options: Mapping[str, Option]) -> Arguments:
    """Return what the command line asks for. Beam is imported only for names that are not ours.

    Args:
        argv: Without the program's name.
        sample_options: The options of the command ``sample``.

    Raises:
        UsageError: A word or an option is unknown, or a value is missing.
    """
    words, rest = _leading_words(argv)
    if any(word in HELP for word in [*words, *rest]):
        topic = next((word for word in words if word in COMMANDS), None)
        return Arguments("help", pipeline=topic)
    if "--version" in rest:
        return Arguments("version")
    if words[:1] == ["sample"]:
        _refuse(words[1:])
        arguments = Arguments("sample")
        read_options(rest, sample_options, arguments, with_beam=False)
        return arguments
    if words[:1] == ["verify"]:
        return _verify([*words[1:], *rest])
    arguments = _command(words)
    read_options(rest, {**all_options(), "config": _CONFIG}, arguments, with_beam=True)
    return _settle_file(arguments)


def _leading_words(argv: list[str]) -> tuple[list[str], list[str]]:
    count = next((i for i, word in enumerate(argv) if word.startswith("-")), len(argv))
    return argv[:count], argv[count:]


def _command(words: list[str]) -> Arguments:
    plan = words[:1] == ["plan"]
    words = words[1:] if plan else words
    arguments = Arguments("plan" if plan else "run")
    if words and words[0] in PIPELINES:
        arguments.pipeline, *words = words
    elif words and words[0].lower().endswith(SUFFIXES):
        arguments.file, *words = words
    _refuse(words)
    return arguments


def _verify(words: list[str]) -> Arguments:
    """Return what ``verify OUT [--repair] [--output_s3_profile_name NAME]`` asks for."""
    arguments, paths = Arguments("verify"), []
    waiting = list(words)
    while waiting:
        word = waiting.pop(0)
        name, equals, value = word.removeprefix("--").partition("=")
        if not word.startswith("-"):
            paths.append(word)
        elif word == f"--{REPAIR}":
            arguments.overrides[REPAIR] = True
        elif canonical(name) != PROFILE:
            hint = nearest(canonical(word.lstrip("-")), [REPAIR, PROFILE])
            raise UsageError(
                f"{word}: verify has no such option, only --{REPAIR} and --{PROFILE}{hint}"
            )
        elif equals or waiting:
            arguments.overrides[PROFILE] = value if equals else waiting.pop(0)
        else:
            raise UsageError(f"{word}: needs the name of a profile")
    if len(paths) != 1:
        got = ", ".join(paths) or "nothing"
        raise UsageError(
            "verify needs one path, the output_clip_path of split or curate or the "
            f"output_dataset_path of shard; got {got}"
        )
    arguments.path = paths[0]
    return arguments


def _refuse(words: Iterable[str]) -> None:
    for word in words:
        hint = (
            "; give a configuration file as --config FILE"
            if word.lower().endswith(SUFFIXES)
            else nearest(word, COMMANDS) or f"; the commands are {', '.join(COMMANDS)}"
        )
        raise UsageError(f"{word}: there is no such command here{hint}")


def _settle_file(arguments: Arguments) -> Arguments:
    config = arguments.overrides.pop("config", None)
    if config is not None:
        if arguments.file is not None:
            raise UsageError(f"{arguments.file} and --config {config}: give one configuration file")
        arguments.file = config
    if arguments.pipeline is None and arguments.file is None:
        if arguments.overrides or arguments.command == "plan":
            given = f" with --{next(iter(arguments.overrides))}" if arguments.overrides else ""
            raise UsageError(
                f"say which pipeline to {arguments.command}{given}: "
                f"{', '.join(PIPELINES)}, or --config FILE"
            )
        arguments.command = "quickstart"
    return arguments


class _ConfigOption:
    """``--config FILE``: not an option of a pipeline, but written like one."""

    name = "config"
    aliases = ()
    is_switch = is_list = False
    choices = ()
    values = "a file name"


_CONFIG: Any = _ConfigOption()


def read_options(
    tokens: list[str], options: Mapping[str, Option], arguments: Arguments, *, with_beam: bool
) -> None:
    """Put what the words ask for into ``arguments``.

    Args:
        tokens: Options and their values.
        options: Those of ours, by name.
        arguments: Gets the options of ours as overrides, those of Beam as flags.
        with_beam: Whether Beam's options are allowed.

    Raises:
        UsageError: An option is unknown, or a value is missing.
    """
    known = by_every_name(dict(options))
    waiting = list(tokens)
    while waiting:
        token = waiting.pop(0)
        if not token.startswith("--") or token == "--":
            raise UsageError(f"{token}: expected an option such as --limit 10 here")
        written, equals, text = token[2:].partition("=")
        value = text if equals else None
        name = canonical(written)
        if name in known:
            _take_own(known[name], written, value, waiting, arguments)
        elif name.startswith("no_") and name[3:] in known and known[name[3:]].is_switch:
            if value is not None:
                raise UsageError(f"--{written}: takes no value, got {value!r}")
            arguments.overrides[known[name[3:]].name] = False
        elif with_beam:
            _take_beam(written, value, waiting, arguments, known)
        else:
            raise UsageError(f"--{written}: there is no such option{nearest(name, known)}")


def _take_own(
    option: Option, written: str, value: str | None, waiting: list[str], arguments: Arguments
) -> None:
    # The same option twice: the later wins, whatever its spelling; lists grow.
    overrides, name = arguments.overrides, option.name
    follows = bool(waiting) and not waiting[0].startswith("--")
    if option.is_list:
        values = [value] if value is not None else []
        while value is None and waiting and not waiting[0].startswith("--"):
            values.append(waiting.pop(0))
        if not values:
            raise UsageError(f"--{written}: needs {option.values}")
        overrides[name] = [*overrides.get(name, []), *values]
    elif value is not None:
        overrides[name] = value
    elif follows and (not option.is_switch or _is_switch_value(option, waiting[0])):
        overrides[name] = waiting.pop(0)
    elif option.is_switch:
        overrides[name] = True
    else:
        raise UsageError(f"--{written}: needs {option.values}")


def _is_switch_value(option: Option, text: str) -> bool:
    choices = {canonical(choice) for choice in option.choices}
    # A choice that is none is a mistake to be named, not a word to be left over.
    return "disable" in choices or text.lower() in TRUE | FALSE or canonical(text) in choices


def _take_beam(
    written: str,
    value: str | None,
    waiting: list[str],
    arguments: Arguments,
    known: Mapping[str, Option],
) -> None:
    forced = written.startswith("beam.")
    name = canonical(written.removeprefix("beam."))
    if name not in beam_option_names():
        names = beam_option_names() if forced else [*known, *beam_option_names()]
        what = "option of Beam" if forced else "option, neither here nor in Beam"
        raise UsageError(f"--{written}: there is no such {what}{nearest(name, names)}")
    if value is None and takes_value(name) and waiting and not waiting[0].startswith("--"):
        value = waiting.pop(0)
    arguments.beam_flags.append(beam_flag(name, value))
