"""Scenes: what the camera sees during one shot, painted frame by frame."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np

from transforms.sample import textures
from transforms.sample.lettering import lettering
from transforms.sample.planes import Planes, copy_planes
from transforms.sample.skylines import Layer, city, valley
from transforms.sample.sprites import Sprite, balloon, marble, sailboat, stamp
from transforms.sample.stills import STILLS
from transforms.sample.textures import Size, Texture, repeat

Kind = Literal["moving", "static", "dark"]

_SPEED = (0.004, 0.0065)
"""Range of camera speeds in shares of (width + height) per frame at up to 30 fps. Upstream calls a
clip still below a mean of 0.00098 in the same unit (contract §1.8); the slowest layer at 60 fps
moves at about one and a half times that."""


class Scene(Protocol):
    """Something that can be painted at any frame of its shot."""

    def paint(self, canvas: Planes, frame: int) -> None:
        """Paint the whole ``canvas`` as it looks ``frame`` frames after the shot's start.

        Negative frames come up in the first half of a dissolve.
        """


@dataclass(frozen=True)
class Camera:
    """A camera gliding over a picture: steady speed in px per frame, and a slow sway across it."""

    speed: tuple[float, float]
    sway_px: float
    sway_frames: float

    def position(self, frame: int) -> tuple[int, int]:
        """Return where the top left corner of the picture is, in px."""
        sway = self.sway_px * math.sin(2 * math.pi * frame / self.sway_frames)
        x, y = self.speed
        length = math.hypot(x, y)
        return round(x * frame - y / length * sway), round(y * frame + x / length * sway)


@dataclass(frozen=True)
class Bounce:
    """A sprite flying straight and bouncing off the edges; px and px per frame."""

    sprite: Sprite
    start: tuple[float, float]
    speed: tuple[float, float]

    def place(self, frame: int, size: Size) -> tuple[int, int]:
        """Return the top left corner of the sprite in px."""
        x, y = (
            _triangle(start + speed * frame, max(1, room - own))
            for start, speed, room, own in zip(
                self.start, self.speed, size, self.sprite.size, strict=True
            )
        )
        return x, y


@dataclass(frozen=True)
class PannedScene:
    """A camera moving over a texture, with things bouncing in front of it."""

    texture: Texture
    camera: Camera
    things: Sequence[Bounce] = field(default=())

    def paint(self, canvas: Planes, frame: int) -> None:
        """Paint the frame (see ``Scene``)."""
        height, width = canvas.y.shape
        copy_planes(canvas, self.texture.window(*self.camera.position(frame), (width, height)))
        for thing in self.things:
            x, y = thing.place(frame, (width, height))
            stamp(canvas, thing.sprite, x=x, y=y)


@dataclass(frozen=True)
class LayeredScene:
    """A camera moving sideways past a landscape in layers."""

    layers: Sequence[Layer]
    speed: float

    def paint(self, canvas: Planes, frame: int) -> None:
        """Paint the frame (see ``Scene``)."""
        for layer in self.layers:
            layer.paint(canvas, round(self.speed * layer.speed * frame))


@dataclass(frozen=True)
class StillScene:
    """A picture in which nothing moves."""

    picture: Planes

    def paint(self, canvas: Planes, frame: int) -> None:
        """Paint the frame (see ``Scene``)."""
        del frame
        copy_planes(canvas, self.picture)


_PANNED = {
    "coast": textures.coast,
    "clouds": textures.clouds,
    "sea": textures.sea,
    "bricks": textures.bricks,
    "tiles": textures.tiles,
    "glass": textures.glass,
    "plasma": textures.plasma,
    "granite": textures.granite,
    "lettering": lettering,
    "stars": textures.stars,
}
_LAYERED = {"valley": valley, "city": city}
_SPRITES: dict[str, Callable[[int, np.ndarray], Sprite]] = {
    "clouds": balloon,
    "tiles": marble,
    "sea": sailboat,
    "granite": marble,
}
_DARK = {"stars", "city", "night"}
SCENES: tuple[str, ...] = (*_PANNED, *_LAYERED, *STILLS)


def scene_kind(name: str) -> Kind:
    """Return whether a scene is dark, static or moving; a dark one may be still too."""
    if name in _DARK:
        return "dark"
    return "static" if name in STILLS else "moving"


def scene_moves(name: str) -> bool:
    """Return whether the whole picture moves."""
    return name not in STILLS


def make_scene(name: str, *, size: Size, fps: float, rng: np.random.Generator) -> Scene:
    """Return the scene ``name`` for pictures of ``size`` px; ``rng`` decides how it looks.

    Raises:
        ValueError: There is no such scene.
    """
    if name in STILLS:
        return StillScene(STILLS[name](rng, size))
    pace = sum(size) * rng.uniform(*_SPEED) * min(1.0, 30 / fps)
    if name in _LAYERED:
        return LayeredScene(_LAYERED[name](rng, size), pace * rng.choice((-1, 1)))
    if name not in _PANNED:
        raise ValueError(f"no sample scene is called {name!r}; there are {', '.join(SCENES)}")
    texture = repeat(_PANNED[name](rng, size), size)
    things = _things(name, size, pace, rng) if name in _SPRITES else ()
    return PannedScene(texture, _camera(name, pace, fps, rng), things)


def _camera(name: str, pace: float, fps: float, rng: np.random.Generator) -> Camera:
    # Text is read along its lines; everything else may be passed in any direction.
    angle = rng.uniform(-0.2, 0.2) if name in {"lettering", "sea"} else rng.uniform(0, 2 * math.pi)
    sway_frames = fps * rng.uniform(3, 5)
    # At most a third of the steady speed, across it: the camera never stands still.
    sway = pace / 3 * sway_frames / (2 * math.pi)
    return Camera((pace * math.cos(angle), pace * math.sin(angle)), sway, sway_frames)


def _things(name: str, size: Size, pace: float, rng: np.random.Generator) -> list[Bounce]:
    make, hues = _SPRITES[name], rng.permutation(len(_PAINTS))
    things = []
    for hue in hues[: int(rng.integers(3, 6))]:
        sprite = make(round(min(size) * rng.uniform(0.14, 0.26)), _PAINTS[hue])
        angle = rng.uniform(0, 2 * math.pi)
        swift = pace * rng.uniform(0.5, 1.1)
        start = (rng.uniform(0, size[0]), rng.uniform(0, size[1]))
        things.append(Bounce(sprite, start, (swift * math.cos(angle), swift * math.sin(angle))))
    return things


_PAINTS = np.array(
    [(214, 48, 49), (9, 132, 227), (253, 203, 110), (0, 148, 116), (108, 92, 231), (232, 67, 147)],
    dtype=np.float64,
)


def _triangle(value: float, room: float) -> int:
    """Return ``value`` folded into [0, room], as a ball between two walls."""
    value %= 2 * room
    return round(min(value, 2 * room - value))
