"""One PNG that shows what came out: the middle frames of some clips in a grid."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from numpy.typing import NDArray

from transforms.media.scaling import EXACT_BICUBIC

MAX_TILES = 24
GAP = 6
"""Pixels between tiles and around them."""
BACKGROUND = 24
"""Grey level around the tiles and beside pictures that do not fill theirs."""
UNREADABLE = 128
"""Grey level of the tile of a clip that does not decode."""


def contact_sheet(
    clips: Sequence[Path], out: Path, *, columns: int = 4, tile_width: int = 320
) -> None:
    """Write a PNG with the middle frame of up to 24 clips, in rows, in the order given.

    Of more than 24 clips, 24 are taken at even distances, the first and the last among them.
    Frames keep their displayed proportions inside 16:9 tiles. A clip that does not decode is an
    empty grey tile. The same clips give the same bytes.

    Args:
        clips: Video files.
        out: The PNG; its folder exists.
        columns: Tiles per row, at least 1.
        tile_width: Width of a tile in pixels, at least 16.

    Raises:
        ValueError: There is no clip, or a number is too small.
        FileNotFoundError: A clip does not exist.
    """
    if not clips or columns < 1 or tile_width < 16:
        raise ValueError(
            "a contact sheet needs at least 1 clip, columns >= 1 and tile_width >= 16, "
            f"got {len(clips)} clips, columns={columns}, tile_width={tile_width}"
        )
    chosen = _evenly(clips, MAX_TILES)
    columns = min(columns, len(chosen))
    rows = -(-len(chosen) // columns)
    width, height = tile_width, tile_width * 9 // 16
    sheet = np.full(
        (rows * (height + GAP) + GAP, columns * (width + GAP) + GAP, 3), BACKGROUND, np.uint8
    )
    for position, path in enumerate(chosen):
        row, column = divmod(position, columns)
        top, left = GAP + row * (height + GAP), GAP + column * (width + GAP)
        sheet[top : top + height, left : left + width] = _tile(path, width, height)
    out.write_bytes(_png(sheet))


def _evenly(clips: Sequence[Path], count: int) -> list[Path]:
    """Return at most ``count`` clips at even distances, first and last included."""
    if len(clips) <= count:
        return list(clips)
    return [clips[round(Fraction(i * (len(clips) - 1), count - 1))] for i in range(count)]


def _tile(path: Path, width: int, height: int) -> NDArray[np.uint8]:
    """Return the clip's middle frame inside a tile. Shape (height, width, 3), uint8 RGB."""
    tile = np.full((height, width, 3), BACKGROUND, np.uint8)
    try:
        picture = _middle_picture(path, width, height)
    except FileNotFoundError:
        raise
    except av.FFmpegError:
        picture = None
    if picture is None:
        tile[:] = UNREADABLE
        return tile
    top = (height - picture.shape[0]) // 2
    left = (width - picture.shape[1]) // 2
    tile[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return tile


def _middle_picture(path: Path, width: int, height: int) -> NDArray[np.uint8] | None:
    """Return the middle frame, upright and as large as fits; None if there is no frame.

    Decoding starts at the last keyframe before the middle, after the stream's first packet: some
    streams say only there which encoder wrote them, and decode to garbage without it.

    Raises:
        av.FFmpegError: The file cannot be read or decoded.
    """
    with av.open(str(path)) as container:
        stream = container.streams.best("video")
        if not isinstance(stream, av.VideoStream):
            return None
        times = sorted(p.pts for p in container.demux(stream) if p.size and p.pts is not None)
        if not times:
            return None
        middle = times[len(times) // 2]
        stream.codec_context.thread_type = "NONE"
        stream.codec_context.thread_count = 1
        container.seek(times[0], stream=stream)
        next(container.demux(stream)).decode()
        container.seek(middle, stream=stream)
        for frame in container.decode(stream):
            if frame.pts is not None and frame.pts >= middle:
                return _fit(frame, stream.sample_aspect_ratio or Fraction(1), width, height)
    return None


def _fit(
    frame: av.VideoFrame, sample_aspect_ratio: Fraction, width: int, height: int
) -> NDArray[np.uint8]:
    """Return the frame as displayed, scaled into ``width`` x ``height``. (H, W, 3) uint8 RGB."""
    turns = frame.rotation // 90 % 4  # counterclockwise, as numpy turns
    if turns % 2:
        width, height = height, width
    displayed_width = frame.width * sample_aspect_ratio
    scale = min(width / displayed_width, Fraction(height, frame.height))
    rgb = VideoReformatter().reformat(
        frame,
        max(1, round(displayed_width * scale)),
        max(1, round(frame.height * scale)),
        format="rgb24",
        interpolation=EXACT_BICUBIC,
        dst_colorspace=Colorspace.DEFAULT,
        dst_color_range=ColorRange.JPEG,
        threads=1,
    )
    return np.rot90(rgb.to_ndarray(), turns)


def _png(image: NDArray[np.uint8]) -> bytes:
    """Return an RGB image, (H, W, 3) uint8, as the bytes of a PNG file."""
    encoder = av.VideoCodecContext.create("png", "w")
    encoder.width, encoder.height, encoder.pix_fmt = image.shape[1], image.shape[0], "rgb24"
    encoder.time_base = Fraction(1)
    encoder.thread_count = 1
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
    frame.pts = 0
    return b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)])
