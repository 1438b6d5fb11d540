"""The options that sections declare, as a flat list of names."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from transforms.section import Section

_BOUNDS = {"ge": "at least {}", "gt": "more than {}", "le": "at most {}", "lt": "less than {}"}
_KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


def canonical(name: str) -> str:
    """Return an option's name with underscores, however it was written."""
    return name.replace("-", "_")


@dataclass(frozen=True)
class Option:
    """One option as its section declares it."""

    name: str
    section: str
    """Name of the section in the configuration."""
    title: str
    """Heading of the section."""
    info: FieldInfo
    aliases: tuple[str, ...]
    """Other spellings, with underscores."""

    @property
    def types(self) -> tuple[Any, ...]:
        """The types of its values, unions taken apart; a choice is a ``Literal``."""
        return tuple(_members(self.info.annotation))

    @property
    def choices(self) -> tuple[str, ...]:
        """The texts it can be, empty when it is not a choice."""
        return tuple(
            choice
            for member in self.types
            if get_origin(member) is Literal
            for choice in get_args(member)
        )

    @property
    def is_switch(self) -> bool:
        """Whether ``--name`` alone means true."""
        return bool in self.types or "disable" in self.choices

    @property
    def is_list(self) -> bool:
        """Whether it takes several values."""
        return any(get_origin(member) in (tuple, list) for member in self.types)

    @property
    def is_mapping(self) -> bool:
        """Whether its value is a JSON object."""
        return any(get_origin(member) is dict for member in self.types)

    @property
    def is_secret(self) -> bool:
        """Whether its value must never be printed."""
        return SecretStr in self.types or self.info.repr is False

    @property
    def takes_null(self) -> bool:
        """Whether ``null`` is a value of its own."""
        return type(None) in self.types

    @property
    def default(self) -> Any:
        """Its value when nobody gives one."""
        value = self.info.get_default(call_default_factory=True, validated_data={})
        return None if value is PydanticUndefined else value

    @property
    def unit(self) -> str:
        """For example ``seconds``; may be empty."""
        return str(self._extra.get("unit", ""))

    @property
    def instead(self) -> str:
        """What to use in its place when it has no meaning here, else empty."""
        return str(self._extra.get("instead", ""))

    @property
    def help(self) -> str:
        """One paragraph of text."""
        return " ".join((self.info.description or "").split())

    @property
    def values(self) -> str:
        """What it can be, in words: ``a whole number, at least 0 (videos)``."""
        parts = [_KINDS[member] for member in self.types if member in _KINDS]
        if self.choices:
            choices = ", ".join(self.choices)
            parts.append(f"one of {choices}" if len(self.choices) > 1 else choices)
        if self.is_list:
            parts.append("a list of texts")
        if self.is_mapping:
            parts.append("a JSON object")
        if SecretStr in self.types:
            parts.append("text")
        if self.takes_null:
            parts.append("null")
        bounds = "".join(f", {bound}" for bound in self._bounds())
        return " or ".join(parts) + bounds + (f" ({self.unit})" if self.unit else "")

    @property
    def _extra(self) -> Mapping[str, Any]:
        extra = self.info.json_schema_extra
        return extra if isinstance(extra, dict) else {}

    def _bounds(self) -> Iterator[str]:
        for constraint in self.info.metadata:
            for attribute, words in _BOUNDS.items():
                if getattr(constraint, attribute, None) is not None:
                    yield words.format(getattr(constraint, attribute))


def section_options(field: str, section: type[Section]) -> Iterator[Option]:
    """Yield the options of one section in the order of their declaration."""
    for name, info in section.model_fields.items():
        aliases = tuple(alias for alias, target in section.aliases.items() if target == name)
        yield Option(name, field, section.title, info, aliases)


def by_every_name(options: Mapping[str, Option]) -> dict[str, Option]:
    """Return the options by name and by alias."""
    aliases = {alias: option for option in options.values() for alias in option.aliases}
    return {**aliases, **options}


def _members(annotation: Any) -> Iterator[Any]:
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _members(get_args(annotation)[0])
    elif origin in (Union, types.UnionType):
        for member in get_args(annotation):
            yield from _members(member)
    else:
        yield annotation
