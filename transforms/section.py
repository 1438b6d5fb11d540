"""How options are declared: once, in a section beside the stage that uses them."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field


class Section(BaseModel):
    """A group of options. Field name = option name, docstring under the field = its help text.

    Sections group options in the code and in ``--help``; users see one flat list of names.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    title: ClassVar[str] = ""
    """Heading of the group in ``--help`` and in ``docs/options.md``."""

    built: ClassVar[bool] = True
    """Whether the stage exists; options of others are accepted while they ask for nothing."""

    aliases: ClassVar[dict[str, str]] = {}
    """Other spellings that upstream knows -> name of the option."""

    auto_option: ClassVar[str] = ""
    """The switch of this section that may be ``auto``, if there is one."""

    def not_built(self) -> str | None:
        """Return why this section cannot run yet, with the ways on; None if it can."""
        return None

    def decide_auto(self) -> tuple[bool, str]:
        """Return what ``auto`` means for this section's switch on this machine, and why."""
        raise NotImplementedError(f"{type(self).__name__} has no option that may be auto")


def option(default: Any, *, unit: str = "", **bounds: Any) -> Any:
    """Return the declaration of an option with a unit such as ``seconds`` or ``frames``."""
    return Field(default, json_schema_extra={"unit": unit} if unit else None, **bounds)


def ignored(default: Any, *, instead: str) -> Any:
    """Return the declaration of an upstream option that has no meaning here.

    It is accepted with a warning that names ``instead``, what to use in its place.
    """
    return Field(default, json_schema_extra={"ignored": True, "instead": instead})
