"""Dataclasses to plain JSON values and back, exact: fractions stay fractions."""

from __future__ import annotations

import dataclasses
import functools
import re
import types
import typing
from fractions import Fraction
from typing import Any, TypeVar, cast

Record = TypeVar("Record")
# Fraction itself would compute "1e999999999", and divide by zero.
_FRACTION = re.compile(r"-?\d{1,1000}/0*[1-9]\d{0,1000}")


def to_plain(value: Any) -> Any:
    """Return the value as JSON knows it: dataclasses become objects, fractions ``"n/d"``.

    Example:
        >>> to_plain((Fraction(1, 3), None, 2.5))
        ['1/3', None, 2.5]
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        return {field.name: to_plain(getattr(value, field.name)) for field in fields}
    if isinstance(value, Fraction):
        return f"{value.numerator}/{value.denominator}"
    if isinstance(value, dict):
        return {key: to_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(item) for item in value]
    if value is None or isinstance(value, str | int | float):
        return value
    raise TypeError(f"need a record, fraction, sequence, mapping, text or number; got {value!r}")


def from_plain(kind: type[Record], plain: Any) -> Record:
    """Return the value of this type that ``to_plain`` made ``plain`` from.

    Args:
        kind: A dataclass, or a type as it may stand at a field of one: ``tuple[...]``,
            ``dict[str, ...]``, ``X | None``, ``Literal[...]``, ``Fraction``, text or number.
        plain: What JSON gave.

    Raises:
        TypeError: The type is none of these, or the value is not of the type.
        ValueError: A tuple has another length.
        KeyError: A field of the dataclass is missing.
    """
    return cast(Record, _restore(kind, plain))


def _restore(kind: Any, plain: Any) -> Any:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind):
        return _restore_record(cast(type, kind), plain)
    if origin in (typing.Union, types.UnionType):
        return None if plain is None else _restore(_without_none(arguments), plain)
    if origin is tuple:
        return _restore_tuple(arguments, plain)
    if origin is dict and not isinstance(plain, dict):
        raise TypeError(f"need a mapping, got {plain!r:.100}")
    if origin is dict:
        return {key: _restore(arguments[1], item) for key, item in plain.items()}
    return _restore_value(kind, plain)


def _restore_value(kind: Any, plain: Any) -> Any:
    if typing.get_origin(kind) is typing.Literal and plain in typing.get_args(kind):
        return plain
    if kind is Fraction and isinstance(plain, str) and _FRACTION.fullmatch(plain):
        return Fraction(plain)
    if kind is float and isinstance(plain, int | float):
        return float(plain)
    if kind in (str, int, bool) and isinstance(plain, kind):
        return plain
    raise TypeError(f"need a value of type {kind}, got {plain!r:.100}")


def _restore_record(kind: type, plain: Any) -> Any:
    if not isinstance(plain, dict):
        raise TypeError(f"need the fields of {kind.__name__}, got {plain!r:.100}")
    hints = _hints(kind)
    names = [field.name for field in dataclasses.fields(kind)]
    return kind(**{name: _restore(hints[name], plain[name]) for name in names})


def _restore_tuple(arguments: tuple[Any, ...], plain: Any) -> tuple[Any, ...]:
    if not isinstance(plain, list | tuple):
        raise TypeError(f"need a list, got {plain!r:.100}")
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        return tuple(_restore(arguments[0], item) for item in plain)
    return tuple(_restore(kind, item) for kind, item in zip(arguments, plain, strict=True))


def _without_none(arguments: tuple[Any, ...]) -> Any:
    others = [kind for kind in arguments if kind is not type(None)]
    if len(others) != 1:
        raise TypeError(f"need one type or None, got a choice of {arguments}")
    return others[0]


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)
