"""Shots that footage is spliced from: drawn from seeds, or stretches of real files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from transforms.sample.planes import Planes, new_planes
from transforms.sample.scenes import make_scene

SIZE = (320, 180)
"""Width and height of all footage in px."""
FPS = 25
MOVING = ("coast", "clouds", "sea", "bricks", "tiles", "glass", "plasma", "granite", "lettering")
LAYERED = ("valley", "city", "stars")
STILL = ("table", "card", "night", "poster")

Paint = Callable[[Planes, int], None]
"""Paints a canvas as the shot looks so many frames after its start."""


@dataclass(frozen=True)
class Source:
    """One shot."""

    name: str
    num_frames: int
    """How many frames it can give."""
    paint: Paint
    moves: bool = True


def drawn_sources(*, seed: int, count: int) -> Iterator[Source]:
    """Yield shots drawn from a seed; of four, one stands still."""
    rng = np.random.default_rng([seed, 10])
    for number in range(count):
        # Two test cards look the same: between them there would be no cut.
        still = STILL[number // 4 % len(STILL)]
        name = still if number % 4 == 3 else str(rng.choice((*MOVING, *LAYERED)))
        scene = make_scene(name, size=SIZE, fps=FPS, rng=np.random.default_rng([seed, 11, number]))
        yield Source(f"{name}-{number}", 100_000, scene.paint, moves=name not in STILL)


@dataclass(frozen=True)
class Stretch:
    """Frames ``[start, end)`` of a real file, within one shot."""

    file: str
    start: int
    end: int


TUNING_STRETCHES = (
    Stretch("sam2_01_dog.mp4", 0, 120),
    Stretch("skv_bikes.mp4", 0, 30),
    Stretch("skv_bikes.mp4", 30, 76),
    Stretch("skv_bikes.mp4", 76, 137),
    Stretch("skv_bikes.mp4", 137, 187),
    Stretch("skv_bikes.mp4", 187, 242),
    Stretch("imageio_cockatoo.mp4", 0, 120),
    Stretch("opencv_vtest.avi", 0, 120),
)
HELD_OUT_STRETCHES = (
    Stretch("dj_video11.mp4", 0, 120),
    Stretch("skv_bigbuckbunny.mp4", 0, 132),
    Stretch("skv_carphone_pristine.mp4", 0, 120),
    Stretch("fate_hevc_dv84.mp4", 0, 100),
    Stretch("mpy_big_buck_bunny_0_30.webm", 60, 180),
    Stretch("mpy_big_buck_bunny_0_30.webm", 290, 374),
    Stretch("tc_nasa_13013.mp4", 40, 160),
    Stretch("cosmos_test_video_30s.mp4", 290, 344),
    Stretch("cosmos_test_video_30s.mp4", 527, 570),
    Stretch("cosmos_test_video_30s.mp4", 577, 607),
    Stretch("mpy_fire2.mp4", 0, 25),
)
"""Of other files than the footage that anything was tuned on."""


def real_sources(folder: Path, stretches: Sequence[Stretch]) -> list[Source]:
    """Return the stretches, decoded."""
    sources = []
    for stretch in stretches:
        pictures = _decode(folder / stretch.file, stretch)
        name = f"{stretch.file}[{stretch.start}:{stretch.end}]"
        sources.append(Source(name, len(pictures), _player(pictures)))
    return sources


def _player(pictures: Sequence[Planes]) -> Paint:
    def paint(canvas: Planes, frame: int) -> None:
        # A shot may be entered by a dissolve: it stands still before its first frame.
        for into, plane in zip(
            canvas, pictures[min(max(frame, 0), len(pictures) - 1)], strict=True
        ):
            into[...] = plane

    return paint


def _decode(path: Path, stretch: Stretch) -> list[Planes]:
    found = []
    width, height = SIZE
    with av.open(str(path)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number >= stretch.end:
                break
            if number >= stretch.start:
                small = frame.reformat(width, height, format="yuv420p").to_ndarray()
                found.append(_planes(small))
    return found


def _planes(joined: np.ndarray) -> Planes:
    width, height = SIZE
    planes = new_planes(width, height)
    quarter = width * height // 4
    flat = joined.ravel()
    planes.y[...] = flat[: 4 * quarter].reshape(height, width)
    planes.u[...] = flat[4 * quarter : 5 * quarter].reshape(height // 2, width // 2)
    planes.v[...] = flat[5 * quarter :].reshape(height // 2, width // 2)
    return planes
