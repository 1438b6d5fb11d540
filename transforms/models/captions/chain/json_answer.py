"""JSON out of what a model says, and whether it fits a schema."""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Iterator
from typing import Any, NoReturn

import jsonschema
from jsonschema.protocols import Validator
from jsonschema.validators import validator_for
from referencing import Registry, Resource
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

from transforms.errors import UsageError

_MOST_CANDIDATES = 50
"""Beginnings of JSON that are tried in one answer."""
_LONGEST_PROBLEM = 500
_FENCED = re.compile(r"```(?:json)?\s*\n(.*?)```", re.DOTALL | re.IGNORECASE)


class AnswerSchema:
    """A JSON Schema that answers are to fit."""

    def __init__(self, text: str) -> None:
        """Read the schema; ``schema_of`` has checked it."""
        self.text = text
        schema = json.loads(text)
        kind = validator_for(schema, default=jsonschema.Draft202012Validator)
        # Without a registry of its own it would fetch what the schema refers to.
        self._validator: Validator = kind(schema, registry=Registry())

    def fitting(self, answer: str) -> tuple[str, str]:
        """Return (JSON, ""): what fits in an answer, or ("", what is wrong with it).

        What stands before the last ``</think>`` does not count. Then the first value that fits is
        taken, be it the whole answer, a fenced block or an object or list within prose. The JSON is
        in one spelling: keys sorted, no needless spaces.

        Example:
            >>> AnswerSchema('{"required": ["a"]}').fitting('{"b"} Here: {"a": 1, "B": "x"}!')
            ('{"B":"x","a":1}', '')
            >>> AnswerSchema('{"type": "object"}').fitting("a dog")
            ('', 'there is no JSON in it')
        """
        problem = ""
        for value in candidates(answer):
            error = jsonschema.exceptions.best_match(self._validator.iter_errors(value))
            if error is None:
                return json_text(value), ""
            problem = problem or f"{error.json_path}: {error.message}"
        return "", (problem or "there is no JSON in it")[:_LONGEST_PROBLEM]


def schema_of(text: str, *, option: str) -> str:
    """Return a JSON Schema in one spelling.

    Args:
        text: The schema, as JSON.
        option: For the message.

    Raises:
        UsageError: It is no JSON, no schema, or refers to what does not stand in it.
    """
    try:
        schema = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{option}: is not valid JSON ({error})") from error
    if not isinstance(schema, dict):
        raise UsageError(f"{option}: a JSON Schema is an object such as {{'type': 'object', ...}}")
    try:
        validator_for(schema, default=jsonschema.Draft202012Validator).check_schema(schema)
    except jsonschema.SchemaError as error:
        raise UsageError(
            f"{option}: is no JSON Schema: {error.json_path}: {error.message[:_LONGEST_PROBLEM]}"
        ) from error
    _check_references(schema, option)
    return json_text(schema)


def json_text(value: Any) -> str:
    """Return JSON in one spelling: equal values, equal text."""
    return json.dumps(
        value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False
    )


def candidates(answer: str) -> Iterator[Any]:
    """Yield the JSON values that an answer may mean, the likeliest first.

    Example:
        >>> list(candidates('<think>{"a": 1}</think> [1] says {"b": {"c": NaN}} {"d": 2}'))
        [[1], {'d': 2}]
    """
    said = answer.rpartition("</think>")[2].strip()
    for text in itertools.chain([said], (match.group(1) for match in _FENCED.finditer(said))):
        found = _parsed(text.strip(), 0)
        if found is not None and not text.strip()[found[1] :]:
            yield found[0]
    starts = (match.start() for match in re.finditer(r"[{\[]", said))
    end = 0
    for start in itertools.islice(starts, _MOST_CANDIDATES):
        # What stands within a value that was whole is no answer of its own.
        if start >= end and (found := _parsed(said, start)) is not None:
            value, end = found
            yield value


def _parsed(text: str, start: int) -> tuple[Any, int] | None:
    decoder = json.JSONDecoder(parse_constant=_refuse, parse_float=_finite)
    try:
        return decoder.raw_decode(text, start)
    except (ValueError, RecursionError):
        return None


def _finite(number: str) -> float:
    value = float(number)
    if not math.isfinite(value):
        raise ValueError(f"{number} is too large")
    return value


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def _check_references(schema: dict[str, Any], option: str) -> None:
    """Check what validation would only find when an answer leads there.

    Raises:
        UsageError: A reference leads nowhere.
    """
    root = Resource.from_contents(schema, default_specification=DRAFT202012)
    resolver = Registry().with_resource("", root).resolver()
    for name, value in _members(schema):
        if name == "$ref" and isinstance(value, str):
            try:
                resolver.lookup(value)
            except Unresolvable:
                raise UsageError(
                    f"{option}: {value!r} refers to nothing in the schema; put what is meant "
                    "under $defs and refer to it as '#/$defs/NAME'"
                ) from None


def _members(value: Any) -> Iterator[tuple[str, Any]]:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if isinstance(value, dict):
        yield from value.items()
    for one in inner:
        yield from _members(one)
