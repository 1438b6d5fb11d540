"""Previews: one small animated WebP per caption window (contract §1.15)."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

from transforms.annotate.windows import inclusive_window
from transforms.media.look_settings import PreviewSettings
from transforms.media.observers.observer import Findings
from transforms.media.scaling import EXACT_BICUBIC

WEBP_OPTIONS = {"lossless": "0", "compression_level": "6", "quality": "50"}
"""Upstream's. The encoder is ``libwebp``, which codes each picture by itself: ``libwebp_anim``
would hold a whole window in memory and merge equal pictures into one."""

"""Bicubic, computed the same way on every processor."""

MAX_SIDE = 16383
"""Largest width or height a WebP can have."""


class PreviewFrames:
    """Writes ``{first}_{last}.webp`` for each window, named by inclusive frame numbers.

    Sampling is upstream's frame rule (contract §1.7) inside each window: a grid of
    ``1 / target_fps`` seconds from the window's first PTS to its last plus half a step (excluded);
    for each grid point the nearest frame, the earlier one of two; a frame hit twice is repeated.

    Args:
        settings: Rate and height.
        windows: Half-open frame intervals, increasing, disjoint.
        time_base: Seconds per PTS tick.
        size: Width and height of a preview in pixels, see ``preview_size``.
        folder: Existing folder that the files are written to, each one whole when it appears.
    """

    def __init__(
        self,
        settings: PreviewSettings,
        *,
        windows: Sequence[tuple[int, int]],
        time_base: Fraction,
        size: tuple[int, int],
        folder: Path,
    ) -> None:
        self._settings = settings
        self._windows = list(reversed(windows))
        self._time_base = time_base
        self._size = size
        self._folder = folder
        self._preview: WindowPreview | None = None
        self._files: list[str] = []

    def observe(self, frame: av.VideoFrame, index: int) -> None:
        """Hand the frame to its window's preview; write the preview with the window's last one."""
        if not self._windows or index < self._windows[-1][0]:
            return
        if self._preview is None:
            self._preview = WindowPreview(
                fps=self._settings.target_fps, size=self._size, time_base=self._time_base
            )
        self._preview.observe(frame)
        if index + 1 == self._windows[-1][1]:
            first, last = inclusive_window(self._windows.pop())
            name = f"{first}_{last}.webp"
            (self._folder / name).write_bytes(self._preview.finish())
            self._files.append(name)
            self._preview = None

    def finish(self) -> Findings:
        """Return the names of the files, in order of the windows."""
        return Findings(files=tuple(self._files))


class WindowPreview:
    """Picks the frames of one window and makes an animation of them.

    Holds one decoded frame: which grid points a frame is nearest to shows when the next one comes.

    Args:
        fps: Pictures per second.
        size: Width and height of a picture in pixels.
        time_base: Seconds per PTS tick.
    """

    def __init__(self, *, fps: int, size: tuple[int, int], time_base: Fraction) -> None:
        self._animation = Animation(fps=fps, size=size)
        self._reformatter = VideoReformatter()
        self._size = size
        self._step = 1 / (fps * time_base)
        self._first_pts = 0
        self._before: tuple[av.VideoFrame, int] | None = None

    def observe(self, frame: av.VideoFrame) -> None:
        """Show the frame before at all grid points that are not nearer to this one."""
        assert frame.pts is not None  # FrameCount, the first observer, has seen to that
        if self._before is None:
            self._first_pts = frame.pts
        else:
            self._show(self._before[0], until=Fraction(self._before[1] + frame.pts, 2))
        self._before = frame, frame.pts

    def finish(self) -> bytes:
        """Show the last frame up to the end of the grid; return the bytes of the file."""
        if self._before is not None:
            last_point = self._grid_point(self._num_points(self._before[1]) - 1)
            self._show(self._before[0], until=last_point)
        return self._animation.finish()

    def _grid_point(self, number: int) -> Fraction:
        """Return the time of a picture in PTS ticks."""
        return self._first_pts + number * self._step

    def _num_points(self, last_pts: int) -> int:
        """Return how many grid points lie before the last PTS plus half a step."""
        return math.ceil((last_pts - self._first_pts) / self._step + Fraction(1, 2))

    def _show(self, frame: av.VideoFrame, *, until: Fraction) -> None:
        """Add ``frame`` once for each open grid point up to ``until``, included."""
        if self._grid_point(self._animation.num_pictures) > until:
            return
        picture = self._reformatter.reformat(
            frame,
            *self._size,
            format="yuv420p",
            interpolation=EXACT_BICUBIC,
            dst_colorspace=Colorspace.ITU601,
            dst_color_range=ColorRange.MPEG,
            threads=1,
        )
        while self._grid_point(self._animation.num_pictures) <= until:
            self._animation.add(picture)


class Animation:
    """An animated WebP that loops for ever, built in memory; one picture makes a still one."""

    def __init__(self, *, fps: int, size: tuple[int, int]) -> None:
        self.num_pictures = 0
        self._time_base = Fraction(1, fps)
        self._file = io.BytesIO()
        self._container = av.open(
            self._file,
            "w",
            format="webp",
            options={"loop": "0"},
            container_options={"fflags": "+bitexact"},
        )
        self._stream = self._container.add_stream("libwebp", rate=fps, options=dict(WEBP_OPTIONS))
        self._stream.width, self._stream.height = size
        self._stream.pix_fmt = "yuv420p"
        self._stream.codec_context.time_base = self._time_base
        self._stream.codec_context.thread_count = 1

    def add(self, picture: av.VideoFrame) -> None:
        """Append a picture of the animation's size; the same one may be added again."""
        picture.pts, picture.time_base = self.num_pictures, self._time_base
        self._container.mux(self._stream.encode(picture))
        self.num_pictures += 1

    def finish(self) -> bytes:
        """Return the bytes of the file."""
        self._container.mux(self._stream.encode(None))
        self._container.close()
        return self._file.getvalue()


def preview_size(
    width: int, height: int, *, sample_aspect_ratio: Fraction | None, target_height: int
) -> tuple[int, int]:
    """Return width and height of a preview: the height asked for, the width in proportion and even.

    Example:
        >>> preview_size(1280, 720, sample_aspect_ratio=None, target_height=240)
        (426, 240)
    """
    displayed_width = width * (sample_aspect_ratio or 1)
    preview_width = 2 * round(Fraction(displayed_width * target_height, 2 * height))
    return min(max(2, preview_width), MAX_SIDE - 1), target_height
