"""Beam's own options: which there are, and how one is passed on.

Importing Beam takes two seconds and 180 MB, so it happens only when a name is not one of ours.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import cache

from transforms.errors import UsageError


@cache
def beam_option_names() -> frozenset[str]:
    """Return the names of Beam's options, with underscores."""
    return frozenset(_actions())


def takes_value(name: str) -> bool:
    """Return whether an option of Beam is followed by a value."""
    return _actions()[name].nargs != 0


def beam_flag(name: str, value: str | None) -> str:
    """Return an option of Beam as one argument for ``PipelineOptions``.

    Args:
        name: One of :func:`beam_option_names`.
        value: None when the option stands alone.

    Raises:
        UsageError: The option needs a value, takes none, or cannot have this one.
    """
    action = _actions()[name]
    if value is None:
        if action.nargs not in (0, "?"):
            raise UsageError(f"--{name}: this option of Beam needs a value")
        return f"--{name}"
    if action.nargs == 0:
        raise UsageError(f"--{name}: this option of Beam takes no value, got {value!r}")
    if action.choices is not None and value not in action.choices:
        choices = ", ".join(str(choice) for choice in action.choices)
        raise UsageError(f"--{name}: must be one of {choices}; got {value!r}")
    if isinstance(action.type, Callable):  # type: ignore[arg-type]
        _try_type(name, value, action)
    return f"--{name}={value}"


def _try_type(name: str, value: str, action: argparse.Action) -> None:
    # Beam itself would end the process from deep inside the runner.
    try:
        action.type(value)  # type: ignore[operator,misc]
    except (ValueError, TypeError, argparse.ArgumentTypeError) as error:
        raise UsageError(f"--{name}: Beam cannot use the value {value!r}: {error}") from error


@cache
def _actions() -> dict[str, argparse.Action]:
    from apache_beam.options.pipeline_options import PipelineOptions  # noqa: PLC0415

    import runners.flink_options  # noqa: F401, PLC0415 - declares some more

    found: dict[str, argparse.Action] = {}

    def collect(parser: argparse.ArgumentParser) -> None:
        for action in parser._actions:
            for text in action.option_strings:
                if text.startswith("--"):
                    found[text[2:].replace("-", "_")] = action

    PipelineOptions([]).get_all_options(add_extra_args_fn=collect)
    found.pop("help", None)
    return found
