"""Which frames a video or clip shows and when, by the ffmpeg binary, and what is wrong with a clip.

Nothing here comes from ``transforms``: times are ffmpeg's, pictures are ffmpeg's, frame numbers are
read from the block codes or found by likeness.
"""

from __future__ import annotations

import functools
import subprocess
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import imageio_ffmpeg
import numpy as np
from block_codes import BlockCode, read_code

CODE_SHORT_SIDE = 240
"""Block codes are read from pictures of this short side: blocks of 4 px."""


@dataclass(frozen=True)
class Shown:
    """The frames that ffmpeg decodes."""

    times: tuple[Fraction, ...]
    """PTS in seconds, exact, as the file's time base gives them."""
    pts: tuple[int, ...]
    """PTS in ticks of the file."""
    time_base: Fraction
    pictures: np.ndarray
    """Grey, uint8. Shape (T, H, W)."""

    @functools.cached_property
    def codes(self) -> list[BlockCode | None]:
        """The block code of every frame."""
        return [read_code(picture) for picture in self.pictures]

    @functools.cached_property
    def rows(self) -> np.ndarray:
        """The pictures as numbers to calculate with. Shape (T, H * W)."""
        return self.pictures.reshape(len(self.pictures), -1).astype(np.float64)

    @functools.cached_property
    def squares(self) -> np.ndarray:
        """Each picture's sum of squares."""
        return (self.rows**2).sum(axis=1)

    @functools.cached_property
    def steps(self) -> np.ndarray:
        """Each frame's mean absolute difference from the neighbour that is more like it."""
        steps = np.abs(np.diff(self.rows, axis=0)).mean(axis=1)
        return np.minimum(np.append(np.inf, steps), np.append(steps, np.inf))


def shown(path: Path, *, size: str = "", upright: bool = True) -> Shown:
    """Return every frame of the stream that ffmpeg chooses (the largest), decoded in one thread.

    Args:
        path: Video.
        size: Arguments of ffmpeg's scale filter; empty: the short side is ``CODE_SHORT_SIDE``.
        upright: Whether ffmpeg turns the picture as the file says; False: as it is stored.
    """
    short = CODE_SHORT_SIDE
    size = size or f"w='if(gt(iw,ih),-2,{short})':h='if(gt(iw,ih),{short},-2)'"
    filters = ("-vf", f"scale={size}:flags=area,format=gray", "-fps_mode", "passthrough")
    outputs = ("-an", "-sn", *filters, "-c:v", "rawvideo", "-enc_time_base", "demux")
    turned = () if upright else ("-noautorotate",)
    with tempfile.TemporaryDirectory() as folder:
        crc = Path(folder) / "crc"
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-nostdin", *turned, "-copyts"]
        command += ["-threads", "1", "-i", f"file:{path}"]
        command += [*outputs, "-f", "framecrc", str(crc), *outputs, "-f", "rawvideo", "-"]
        raw = subprocess.run(command, check=True, capture_output=True).stdout
        lines = crc.read_text().splitlines()
    header = {line.split(" ")[0]: line.rpartition(" ")[2] for line in lines if line[0] == "#"}
    pts = tuple(int(line.split(",")[2]) for line in lines if line[0] != "#")
    time_base = Fraction(header["#tb"])
    width, height = (int(part) for part in header["#dimensions"].split("x"))
    pictures = np.frombuffer(raw, np.uint8).reshape(-1, height, width)
    assert len(pictures) == len(pts), path
    return Shown(tuple(tick * time_base for tick in pts), pts, time_base, pictures)


def shown_all(paths: Sequence[Path], *, size: str = "", upright: bool = True) -> list[Shown]:
    """Return ``shown`` of many files, two at a time."""
    with ThreadPoolExecutor(2) as threads:
        return list(threads.map(lambda path: shown(path, size=size, upright=upright), paths))


def planned_frames(
    times: Sequence[Fraction], index: int, *, stride: Fraction, is_last: bool
) -> list[int]:
    """Return the numbers of the frames that clip ``index`` of a stride must hold.

    The first has ``time >= index * stride``, the last ``time < (index + 1) * stride``, counted from
    the first frame; the last clip of a video reaches to its last frame.
    """
    start, end = index * stride, (index + 1) * stride
    return [
        number
        for number, time in enumerate(times)
        if start <= time - times[0] and (is_last or time - times[0] < end)
    ]


def time_problems(clip: Shown, source: Shown, expected: Sequence[int]) -> list[str]:
    """Return where a clip's frame count and times are not those of the ``expected`` frames."""
    if len(clip.times) != len(expected):
        return [f"{len(clip.times)} frames, expected {len(expected)} ({_ends(expected)})"]
    wanted = [source.times[number] - source.times[expected[0]] for number in expected]
    return [
        f"frame {place}: at {got} s, expected {want} s"
        for place, (got, want) in enumerate(zip(clip.times, wanted, strict=True))
        if got != want
    ]


def code_problems(clip: Shown, source: Shown, expected: Sequence[int]) -> list[str]:
    """Return where a clip's block codes are not those of the ``expected`` frames."""
    problems = []
    for place, code in enumerate(clip.codes):
        want = source.codes[expected[place]] if place < len(expected) else None
        if code is None or code != want:
            problems.append(f"frame {place}: {code}, expected {want}")
    return problems


def likeness_problems(
    clip: Shown, source: Shown, expected: Sequence[int], *, least_step: float
) -> tuple[list[str], int]:
    """Return where the nearest source frame is not the ``expected`` one, and how many were told.

    Only frames that differ from both neighbours in the source, by at least ``least_step`` grey
    levels on average, can be told. All other source frames compete.
    """
    telling = source.steps >= least_step
    problems, num_told = [], 0
    nearest = _nearest(clip, source)
    for place, number in enumerate(expected[: len(nearest)]):
        if not telling[number]:
            continue
        num_told += 1
        if nearest[place] != number:
            problems.append(f"frame {place}: nearest is {nearest[place]}, expected {number}")
    return problems, num_told


def _nearest(clip: Shown, source: Shown) -> np.ndarray:
    """Return the number of the source frame with the smallest squared difference, per frame."""
    distances = source.squares[None] - 2 * clip.rows @ source.rows.T
    return distances.argmin(axis=1)


def _ends(numbers: Sequence[int]) -> str:
    return f"{numbers[0]} to {numbers[-1]}" if numbers else "none"
