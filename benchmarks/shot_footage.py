"""Footage with known boundaries: shots spliced by cuts, dissolves and fades, with what is easily
taken for a boundary between them, through an encoder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import av
import numpy as np

from benchmarks.shot_sources import FPS, SIZE, Source
from transforms.sample.planes import Planes, darken_planes, mix_planes, new_planes

Kind = Literal["cut", "jump", "dissolve", "fade"]
Trap = Literal["flash", "pan", "ramp"]


@dataclass(frozen=True)
class Event:
    """Something at frames ``[first, last]``, both included.

    A boundary without blended frames has the new shot's first frame as both.
    """

    kind: str
    first: int
    last: int


@dataclass(frozen=True)
class Encoding:
    """How footage is compressed."""

    crf: int
    keyframe_every: int
    preset: str = "veryfast"


_LEAST_JUMP = 8
"""Levels; a smaller jump is none to the eye."""
ENCODINGS = (Encoding(20, 250), Encoding(30, 50), Encoding(38, 12))
"""Good, usual, and one that pulses at its keyframes."""


@dataclass
class Footage:
    """A plan of frames, in order."""

    name: str
    shots: list[Shot] = field(default_factory=list)
    boundaries: list[Event] = field(default_factory=list)
    traps: list[Event] = field(default_factory=list)

    @property
    def num_frames(self) -> int:
        """Frames in all."""
        return self.shots[-1].end if self.shots else 0


@dataclass(frozen=True)
class Shot:
    """Frames ``[start, end)`` show a source from its frame ``offset`` on."""

    source: Source
    offset: int
    start: int
    end: int
    trap: tuple[Trap, int, int, float] | None = None
    """What happens, its first and last frame, and how strongly (0 to 1)."""


def plan_footage(
    name: str,
    sources: Sequence[Source],
    *,
    seed: int,
    num_frames: int,
    lengths: tuple[int, int] = (18, 61),
) -> Footage:
    """Splice shots in random order until there are about so many frames.

    Args:
        name: What to call it.
        sources: Shots; each comes several times, never behind itself but for jump cuts.
        seed: Decides everything.
        num_frames: Least number of frames.
        lengths: Shortest and longest shot in frames.
    """
    rng = np.random.default_rng([seed, 20])
    footage = Footage(name)
    last: Shot | None = None
    order: list[int] = []
    while footage.num_frames < num_frames:
        kind: Kind = rng.choice(["cut", "dissolve", "fade", "jump"], p=[0.62, 0.2, 0.08, 0.1])
        if not order:
            order = rng.permutation(len(sources)).tolist()
        source, offset = sources[order[-1]], 0
        if last is not None and source is last.source:
            order = order[:-1]
            continue
        if kind == "jump" and last is not None and _can_jump(last):
            source, offset = last.source, last.offset + (last.end - last.start) + 2 * FPS
        else:
            kind = "cut" if kind == "jump" else kind
            order = order[:-1]
        last = _splice(footage, (source, offset), kind, lengths, rng)
    return footage


def _can_jump(last: Shot) -> bool:
    """Return whether the picture is another one two seconds on."""
    end = last.offset + (last.end - last.start)
    if not last.source.moves or end + 3 * FPS >= last.source.num_frames:
        return False
    now, then = new_planes(*SIZE), new_planes(*SIZE)
    last.source.paint(now, end - 1)
    last.source.paint(then, end + 2 * FPS)
    return float(np.abs(now.y.astype(np.int16) - then.y).mean()) > _LEAST_JUMP


def _splice(
    footage: Footage,
    what: tuple[Source, int],
    kind: Kind,
    lengths: tuple[int, int],
    rng: np.random.Generator,
) -> Shot:
    source, offset = what
    start = footage.num_frames
    length = min(int(rng.integers(lengths[0], lengths[1] + 1)), source.num_frames - offset)
    before = footage.shots[-1] if footage.shots else None
    blended = int(rng.integers(6, 26)) if kind in {"dissolve", "fade"} else 0
    if before is not None:
        # What is blended must fit between the middles of both shots.
        room = min(before.end - (before.trap[2] if before.trap else before.start) - 1, length) - 4
        blended = min(blended, max(room, 0))
        if kind in {"dissolve", "fade"} and blended < 6:
            kind, blended = "cut", 0
        half = blended // 2
        first = start - half if blended else start
        footage.boundaries.append(Event(kind, first, first + max(blended - 1, 0)))
    trap = _trap(start + blended - blended // 2, start + length, rng)
    shot = Shot(source, offset, start, start + length, trap)
    if trap:
        footage.traps.append(Event(trap[0], trap[1], trap[2]))
    footage.shots.append(shot)
    return shot


def _trap(first: int, end: int, rng: np.random.Generator) -> tuple[Trap, int, int, float] | None:
    kind: Trap | None = rng.choice(np.array(["flash", "pan", "ramp", None], dtype=object))
    lasts = {"flash": rng.integers(1, 4), "pan": rng.integers(5, 11), "ramp": rng.integers(6, 15)}
    strength = float(rng.uniform(0.25, 1))
    if kind is None:
        return None
    length = int(lasts[kind])
    spare = end - first - 16 - length
    if spare <= 0:
        return None
    start = first + 8 + int(rng.integers(spare))
    return kind, start, start + length - 1, strength


def frames_of(footage: Footage) -> Iterator[Planes]:
    """Yield every frame; the same picture is painted over again."""
    canvas, other = new_planes(*SIZE), new_planes(*SIZE)
    blends = {event.first: event for event in footage.boundaries if event.last > event.first}
    covering: dict[int, Event] = {
        number: event for event in blends.values() for number in range(event.first, event.last + 1)
    }
    for position, shot in enumerate(footage.shots):
        for number in range(shot.start, shot.end):
            _paint(canvas, shot, number)
            event = covering.get(number)
            if event is not None:
                share = (number - event.first + 1) / (event.last - event.first + 2)
                if event.kind == "fade":
                    darken_planes(canvas, weight=1 - abs(2 * share - 1))
                else:
                    middle = (event.first + event.last + 1) // 2
                    near = footage.shots[position + (1 if number < middle else -1)]
                    _paint(other, near, number)
                    mix_planes(canvas, other, weight=share if number < middle else 1 - share)
            yield canvas


def _paint(canvas: Planes, shot: Shot, number: int) -> None:
    shot.source.paint(canvas, shot.offset + number - shot.start)
    if shot.trap is None or number < shot.trap[1]:
        return
    kind, first, last, strength = shot.trap
    if kind == "flash" and number <= last:
        white = new_planes(*SIZE)
        white.y[...] = 235
        mix_planes(canvas, white, weight=0.3 + 0.65 * strength)
    elif kind == "pan":
        _shift(canvas, round(4 * (1 + 5 * strength)) * (min(number, last) - first + 1))
    elif kind == "ramp":
        done = (min(number, last) - first + 1) / (last - first + 1)
        gain = 1 + done * ((0.9 * strength) if first % 2 else (-0.7 * strength))
        canvas.y[...] = np.clip(16 + (canvas.y.astype(np.float32) - 16) * gain, 16, 235)


def _shift(canvas: Planes, pixels: int) -> None:
    """Look that far to the right; behind the edge comes the picture's mirror image."""
    for plane, far in zip(canvas, (pixels, pixels // 2, pixels // 2), strict=True):
        both = np.concatenate([plane, plane[:, ::-1]], 1)
        plane[...] = np.roll(both, -far, axis=1)[:, : plane.shape[1]]


def write_footage(footage: Footage, path: Path, encoding: Encoding) -> Path:
    """Encode the footage; same bytes for the same plan."""
    options = {
        "preset": encoding.preset,
        "crf": str(encoding.crf),
        "x264-params": f"cpu-independent=1:keyint={encoding.keyframe_every}",
    }
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=FPS, options=options)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = SIZE
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1
        for number, planes in enumerate(frames_of(footage)):
            joined = np.concatenate([plane.ravel() for plane in planes]).reshape(-1, SIZE[0])
            frame = av.VideoFrame.from_ndarray(joined, format="yuv420p")
            frame.pts = number
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path
