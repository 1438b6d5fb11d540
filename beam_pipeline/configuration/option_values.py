"""Turns what people write into values of options."""

from __future__ import annotations

import json
import math
from typing import Any

from beam_pipeline.configuration.options import Option, canonical
from transforms.json_parsing import parse_json

TRUE = frozenset({"true", "yes", "on", "1"})
FALSE = frozenset({"false", "no", "off", "0"})


class BadValueError(ValueError):
    """The value is not one the option can have; the message says what it can be."""


def to_value(option: Option, written: Any) -> Any:
    """Return the value for the option's section from a value of a file or a command line.

    ``null`` for an option that cannot be null means its default. Choices match whatever their
    dashes and underscores; true and false stand for ``enable`` and ``disable``, as upstream's
    version 2 and YAML's ``off`` write them.

    Raises:
        BadValueError: The value has a wrong type or is no choice. Bounds are left to the section.
    """
    if written is None or (written == "null" and option.takes_null):
        return None if option.takes_null else option.default
    if option.is_list:
        return [written] if isinstance(written, str) else written
    if option.is_mapping:
        return _mapping(option, written)
    if bool in option.types and _is_boolean(written):
        return str(written).lower() in TRUE
    if option.choices:
        return _choice(option, written)
    return _plain(option, written)


def bad_value(option: Option, written: Any) -> str:
    """Return the sentence that says what the option can be and what it was given."""
    shown = "**********" if option.is_secret else json.dumps(written, default=str)
    return f"{option.name} must be {option.values}; got {shown}"


def _is_boolean(written: Any) -> bool:
    return isinstance(written, bool) or str(written).lower() in TRUE | FALSE


def _plain(option: Option, written: Any) -> Any:
    if int in option.types:
        return _whole_number(option, written)
    if float in option.types:
        return _number(option, written)
    if bool in option.types or not isinstance(written, str):
        raise _bad(option, written)
    return written


def _bad(option: Option, written: Any) -> BadValueError:
    return BadValueError(bad_value(option, written))


def _choice(option: Option, written: Any) -> str:
    if isinstance(written, bool) and "disable" in option.choices:
        others = [choice for choice in option.choices if choice != "disable"]
        return ("enable" if "enable" in others else others[0]) if written else "disable"
    matches = [
        choice for choice in option.choices if canonical(choice) == canonical(str(written).strip())
    ]
    if not matches:
        raise _bad(option, written)
    return matches[0]


def _mapping(option: Option, written: Any) -> Any:
    if not isinstance(written, str):
        return written
    try:
        return parse_json(written)
    except ValueError as error:
        raise _bad(option, written) from error


def _whole_number(option: Option, written: Any) -> int:
    number = _number(option, written)
    if number != int(number):
        raise _bad(option, written)
    # Text keeps all its digits: a float would round numbers above 2 ** 53.
    return int(written) if _is_digits(written) else int(number)


def _is_digits(written: Any) -> bool:
    return isinstance(written, int) or (isinstance(written, str) and written.strip("+-").isdigit())


def _number(option: Option, written: Any) -> float:
    if isinstance(written, bool) or not isinstance(written, int | float | str):
        raise _bad(option, written)
    try:
        number = float(written)
    except (ValueError, OverflowError) as error:
        raise _bad(option, written) from error
    if not math.isfinite(number):
        raise _bad(option, written)
    return number
