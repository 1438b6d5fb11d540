"""Makes tiny videos of shots whose every frame carries its number and its shot."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.frame import PictureType
from block_codes import read_code

from transforms.sample.block_code import draw_code
from transforms.sample.planes import Planes, new_planes

SIZE = (160, 120)
LEVELS = (50, 200, 110, 230, 80, 170)
"""Brightness of one shot after the other."""


@dataclass(frozen=True)
class ShotVideo:
    """A video of hard cuts."""

    lengths: tuple[int, ...]
    """Frames of each shot."""
    fps: int = 25
    ticks: tuple[int, ...] = ()
    """How long frames last in ticks of 1/1000 s, repeated; empty: all alike."""
    keyframe_every: int = 40

    @property
    def cuts(self) -> list[int]:
        """First frame of every shot but the first."""
        return [sum(self.lengths[:number]) for number in range(1, len(self.lengths))]

    @property
    def num_frames(self) -> int:
        """Frames of the video."""
        return sum(self.lengths)


def make_shots(path: Path, video: ShotVideo) -> Path:
    """Write the video and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    time_base = Fraction(1, 1000) if video.ticks else Fraction(1, video.fps)
    options = {"preset": "ultrafast", "crf": "16", "x264-params": "keyint=infinite:scenecut=0"}
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=video.fps, options=options)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = SIZE
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1
        stream.codec_context.time_base = time_base
        pts = 0
        for number, planes in enumerate(_pictures(video.lengths)):
            joined = np.concatenate([plane.ravel() for plane in planes]).reshape(-1, SIZE[0])
            frame = av.VideoFrame.from_ndarray(joined, format="yuv420p")
            frame.pts, frame.time_base = pts, time_base
            pts += video.ticks[number % len(video.ticks)] if video.ticks else 1
            if number % video.keyframe_every == 0:
                frame.pict_type = PictureType.I
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def _pictures(lengths: Sequence[int]) -> Iterator[Planes]:
    number = 0
    for shot, length in enumerate(lengths):
        for _ in range(length):
            planes = new_planes(*SIZE)
            planes.y[:] = LEVELS[shot % len(LEVELS)]
            draw_code(planes, frame=number, shot=shot)
            yield planes
            number += 1


def codes_of(path: Path) -> list[tuple[int, int]]:
    """Return number and shot of every frame that comes out of a file; (-1, -1): unreadable."""
    found = []
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            code = read_code(frame.to_ndarray(format="gray"))
            found.append((code.frame, code.shot) if code else (-1, -1))
    return found
