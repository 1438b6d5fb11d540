"""What a caption model is asked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from transforms.errors import UsageError

PROMPTS: dict[str, str] = {
    "default": (
        "Describe this video for somebody who cannot see it. Say first what moves and how, "
        "and how that changes from the beginning to the end; then who and what is there, "
        "where it takes place, the light and the colours, and how the camera is held and "
        "moves. Tell things in the order in which they happen. State only what can be seen; "
        "leave out guesses, names that are not shown, sounds, and remarks about the video "
        "itself. Write one plain paragraph."
    ),
    "av": (
        "This video comes from a camera in a moving car and looks ahead unless it plainly "
        "does not. Describe what matters for driving: the road, its lanes, junctions, signs "
        "and signals; other vehicles, cyclists and people, where they are and how they move "
        "relative to the car; what the car itself does; weather, light and the state of the "
        "road; and anything that could become dangerous. Tell things in the order in which "
        "they happen, and state only what can be seen. Write one plain paragraph."
    ),
    "av-surveillance": (
        "This video comes from a fixed camera that watches traffic. Describe the place, its "
        "lanes, crossings and signals; every vehicle and person that matters, with kind, "
        "colour, lane and direction; how they move, stop, turn and give way; and any "
        "incident: a collision, a near miss, a wrong turn, something lying on the road, who "
        "was involved and in what order it happened. State only what can be seen. Write one "
        "plain paragraph."
    ),
}
"""Prompts of our own for upstream's variants (contract §1.14)."""

PLACEHOLDERS: dict[str, str] = {
    "width": "width of the clip in pixels",
    "height": "height of the clip in pixels",
    "fps": "frames per second of the clip",
    "num_frames": "frames of the window",
    "duration_s": "seconds of the window",
    "start_s": "where the window begins in its source, in seconds",
    "source_name": "name of the source file",
}
"""What ``{name}`` in a prompt may stand for."""

_NO_MORE: Mapping[str, str] = MappingProxyType({})
_PLACEHOLDER = re.compile(r"\{\{|\}\}|\{([A-Za-z_][A-Za-z0-9_]*)\}")


def check_prompt(prompt: str, *, option: str, more: Mapping[str, str] = _NO_MORE) -> set[str]:
    """Return what a prompt leaves to be filled in; check that it says something at all.

    Args:
        prompt: The prompt.
        option: For the message.
        more: Placeholders beside those of clips.

    Raises:
        UsageError: It is empty, or names something else; lists what there is.
    """
    if not prompt.strip():
        raise UsageError(f"{option}: the prompt is empty")
    known = {*PLACEHOLDERS, *more}
    names = set(_names(prompt))
    if unknown := sorted(names - known):
        raise UsageError(
            f"{option}: {{{unknown[0]}}} is no placeholder; there are "
            + ", ".join(f"{{{name}}}" for name in sorted(known))
            + "; write {{ and }} for braces"
        )
    return names


def filled(prompt: str, values: Mapping[str, str]) -> str:
    """Return the prompt with its placeholders filled in; ``{{`` and ``}}`` become braces.

    Example:
        >>> filled("{width}x{height} {{as is}} {other", {"width": "640", "height": "480"})
        '640x480 {as is} {other'
    """

    def value(match: re.Match[str]) -> str:
        name = match.group(1)
        return values[name] if name else match.group(0)[0]

    return _PLACEHOLDER.sub(value, prompt)


def _names(prompt: str) -> list[str]:
    return [match.group(1) for match in _PLACEHOLDER.finditer(prompt) if match.group(1)]
