"""Landscapes in layers that move at different speeds: hills by day, a city at night."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from transforms.sample.colours import add_light, colour_ramp, paint_index, to_yuv
from transforms.sample.noise import Field, fractal_noise, smooth_noise
from transforms.sample.planes import Planes
from transforms.sample.textures import Size, Texture, cells, clouds, repeat, stars


@dataclass(frozen=True)
class Layer:
    """One strip of a landscape: opaque below its ridge, nothing above it."""

    texture: Texture
    opaque: NDArray[np.bool_]
    """Where the layer covers what is behind it; repeated like the texture."""
    top: int
    """First row in px in which the layer covers anything, even."""
    solid: int
    """First row in px from which on it covers everything, even."""
    speed: float
    """How fast it moves compared with the camera; near layers are faster than 1."""

    def paint(self, canvas: Planes, x: int) -> None:
        """Draw the layer over ``canvas``, moved by ``x`` px."""
        height, width = canvas.y.shape
        source = self.texture.window(x, 0, (width, height))
        x %= self.texture.period[0]
        mask = self.opaque[self.top : self.solid, x : x + width]
        half = self.opaque[self.top : self.solid : 2, x - x % 2 : x - x % 2 + width : 2]
        for into, plane, ridge, share in zip(
            canvas, source, (mask, half, half), (1, 2, 2), strict=True
        ):
            top, solid = self.top // share, self.solid // share
            into[solid:] = plane[solid:]
            np.copyto(into[top:solid], plane[top:solid], where=ridge)


def valley(rng: np.random.Generator, size: Size) -> list[Layer]:
    """Return clouds and four ranges of hills, each nearer, darker and greener than the last."""
    layers = [_backdrop(clouds(rng, size), size, speed=0.75)]
    far, near = np.array([138, 166, 190.0]), np.array([22.0, 58, 34])
    for step, (base, rise) in enumerate(((0.50, 0.22), (0.62, 0.2), (0.76, 0.16), (0.92, 0.14))):
        ridge = base - rise * (_ridge(rng, size, 2 + step) - 0.3)
        top, foot = far + (near - far) * step / 3, far + (near - far) * min(1, step / 3 + 0.25)
        ramp = colour_ramp([(0, _rgb(top)), (1, _rgb(foot))])
        layers.append(
            _layer(rng, size, ridge, ramp, speed=0.85 + 0.25 * step, grain=36 + 20 * step)
        )
    return layers


def city(rng: np.random.Generator, size: Size) -> list[Layer]:
    """Return a night sky and three rows of houses with lit windows; dark on the whole."""
    layers = [_backdrop(stars(rng, size), size, speed=0.75)]
    for step, (base, rise) in enumerate(((0.58, 0.3), (0.74, 0.36), (0.95, 0.34))):
        houses = round(size[0] / min(size) * (12 - 2 * step))
        roofs = base - rise * (rng.random(houses) - 0.25)
        ridge = roofs[np.arange(size[0]) * houses // size[0]].astype(np.float32)
        shade = np.array([[26, 28, 58], [16, 17, 38], [8, 8, 20]][step], dtype=float)
        ramp = colour_ramp([(0, _rgb(shade * 1.5)), (1, _rgb(shade * 0.6))])
        layer = _layer(rng, size, ridge, ramp, speed=0.9 + 0.3 * step, grain=24)
        layers.append(_with_windows(rng, layer, size, step=step))
    return layers


def _backdrop(tile: Planes, size: Size, *, speed: float) -> Layer:
    width, height = size
    opaque = np.ones((height, 2 * width), dtype=bool)
    return Layer(repeat(tile, size), opaque, top=0, solid=0, speed=speed)


def _layer(
    rng: np.random.Generator,
    size: Size,
    ridge: Field,
    ramp: NDArray[np.uint8],
    *,
    speed: float,
    grain: float,
) -> Layer:
    """Return the layer below ``ridge`` (W,), in shares of the height counted from the top."""
    width, height = size
    rows = np.arange(height, dtype=np.float32)[:, None] / height
    depth = np.clip((rows - ridge) / 0.3, 0, 1)
    tile = paint_index((depth * 255).astype(np.uint8), ramp)
    texture = fractal_noise(rng, shape=(height, width), cells=cells(size, 16), octaves=4)
    tile = tile._replace(y=add_light(tile.y, (texture - np.float32(0.5)) * grain))
    opaque = rows >= ridge
    top = int(np.argmax(opaque.any(axis=1))) // 2 * 2
    solid = int(np.argmax(np.append(opaque.all(axis=1), True))) // 2 * 2 + 2
    opaque = np.concatenate([opaque, opaque], axis=1)
    return Layer(repeat(tile, size), opaque, top=top, solid=min(solid, height), speed=speed)


def _with_windows(rng: np.random.Generator, layer: Layer, size: Size, *, step: int) -> Layer:
    """Return ``layer`` with a grid of windows, about a third of them lit."""
    width, height = size
    pitch = max(4, min(size) // (40 - 8 * step) // 2 * 2)
    lit = rng.random((height // pitch + 1, width // pitch + 1)) < 0.3
    cell = np.zeros((pitch, pitch), dtype=bool)
    cell[pitch // 4 : pitch - pitch // 4, pitch // 4 : pitch - pitch // 4] = True
    mask = np.kron(lit, cell).astype(bool)[:height, :width]
    # No window cut by the roof or by the seam where the picture repeats.
    mask &= np.roll(layer.opaque[:, :width], pitch, axis=0) & (np.arange(height) > pitch)[:, None]
    mask[:, width - width % pitch :] = False
    planes = Planes(*(plane.copy() for plane in layer.texture.planes))
    y, u, v = to_yuv(((255, 206, 120), (240, 170, 90), (255, 226, 160))[step])
    for left in (0, width):
        part = mask[:, : planes.y.shape[1] - left]
        planes.y[:height, left : left + width][part] = y
        planes.u[: height // 2, left // 2 : (left + width) // 2][part[::2, ::2]] = u
        planes.v[: height // 2, left // 2 : (left + width) // 2][part[::2, ::2]] = v
    return Layer(
        Texture(planes, layer.texture.period), layer.opaque, layer.top, layer.solid, layer.speed
    )


def _ridge(rng: np.random.Generator, size: Size, number: int) -> Field:
    """Return a wavy line in [0, 1] over the width, repeating. Shape (W,)."""
    across = max(2, round(number * size[0] / min(size)))
    line = np.zeros(size[0], dtype=np.float32)
    for octave in range(4):
        wave = smooth_noise(rng, shape=(1, size[0]), cells=(1, across << octave))[0]
        line += wave * np.float32(0.5**octave)
    return (line - line.min()) / (line.max() - line.min())


def _rgb(colour: NDArray[np.floating]) -> tuple[int, int, int]:
    red, green, blue = (int(part) for part in colour)
    return red, green, blue
