"""From one decision per frame to the scenes that become clips (contract §1.5, TransNetV2).

All ranges are half-open and in frames.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Literal

Scene = tuple[int, int]
"""Frames ``[start, end)``."""


@dataclass(frozen=True, slots=True)
class SceneLimits:
    """What a scene must be to become clips, in frames."""

    min_length: int
    max_length: int
    max_length_mode: Literal["truncate", "stride"]
    crop: int
    """Taken off both ends."""

    @classmethod
    def at(
        cls,
        frames_per_second: float,
        *,
        min_length_s: float,
        min_length_frames: int,
        max_length_s: float,
        max_length_mode: Literal["truncate", "stride"],
        crop_s: float,
    ) -> SceneLimits:
        """Return the limits for a frame rate; the longer of the two least lengths counts."""
        return cls(
            min_length=max(ceil(min_length_s * frames_per_second), min_length_frames),
            max_length=ceil(max_length_s * frames_per_second),
            max_length_mode=max_length_mode,
            crop=int(crop_s * frames_per_second),
        )


def scenes_between(is_boundary: Sequence[bool]) -> list[Scene]:
    """Return the stretches between boundaries.

    A boundary at the very beginning only shortens the first scene; the last scene ends with the
    video. A video of boundaries alone has no scene.

    Example:
        >>> scenes_between([0, 0, 0, 1, 1, 0, 0])
        [(0, 3), (5, 7)]
        >>> scenes_between([1, 1, 0, 0])
        [(2, 4)]
    """
    scenes = []
    start = None
    for frame, boundary in enumerate(is_boundary):
        if boundary and start is not None:
            scenes.append((start, frame))
            start = None
        elif not boundary and start is None:
            start = frame
    if start is not None:
        scenes.append((start, len(is_boundary)))
    return scenes


def upstream_scenes(is_boundary: Sequence[bool]) -> list[Scene]:
    """Return upstream's scenes, with what it gets wrong (contract, appendix B.3).

    The last scene ends one frame early, but where nothing was cut off the whole video is one
    scene, boundaries at its beginning included.

    Example:
        >>> upstream_scenes([0, 0, 0, 1, 1, 0, 0])
        [(0, 3), (5, 6)]
        >>> upstream_scenes([1, 1, 0, 0])
        [(0, 4)]
    """
    scenes: list[Scene] = []
    start, before = 0, False
    for frame, boundary in enumerate(is_boundary):
        if before and not boundary:
            start = frame
        elif boundary and not before and frame:
            scenes.append((start, frame))
        before = bool(boundary)
    if scenes and not before:
        scenes.append((start, len(is_boundary) - 1))
    return scenes or [(0, len(is_boundary))]


def clip_scenes(scenes: Iterable[Scene], limits: SceneLimits) -> Iterator[Scene]:
    """Yield what becomes clips: too long scenes divided, then cropped, then short ones dropped.

    Example:
        >>> limits = SceneLimits(60, 1800, "stride", 15)
        >>> list(clip_scenes([(0, 4000)], limits))
        [(15, 1785), (1815, 3585), (3615, 3985)]
    """
    for scene in scenes:
        for start, end, why_not in scene_pieces(scene, limits):
            if not why_not:
                yield start, end


def scene_pieces(scene: Scene, limits: SceneLimits) -> Iterator[tuple[int, int, str]]:
    """Divide a scene; yield ``(start, end, why it is no clip)`` without gaps, in order.

    The reason is empty for a clip, else ``crop``, ``too_short`` or ``too_long``.

    Example:
        >>> list(scene_pieces((0, 100), SceneLimits(60, 1800, "stride", 15)))
        [(0, 15, 'crop'), (15, 85, ''), (85, 100, 'crop')]
    """
    for first, behind, why_not in _at_most(scene, limits):
        start, end = first + limits.crop, behind - limits.crop
        if why_not:
            yield first, behind, why_not
        elif end <= start or end - start < limits.min_length:
            yield first, behind, "too_short"
        else:
            if limits.crop:
                yield first, start, "crop"
            yield start, end, ""
            if limits.crop:
                yield end, behind, "crop"


def _at_most(scene: Scene, limits: SceneLimits) -> Iterator[tuple[int, int, str]]:
    start, end = scene
    if end - start <= limits.max_length:
        yield start, end, ""
    elif limits.max_length_mode == "truncate":
        yield start, start + limits.max_length, ""
        yield start + limits.max_length, end, "too_long"
    else:
        for first in range(start, end, limits.max_length):
            behind = min(first + limits.max_length, end)
            # Only a last piece is shorter, and dropped already before it is cropped.
            is_dropped = behind - first < min(limits.min_length, limits.max_length)
            yield first, behind, "too_short" if is_dropped else ""
