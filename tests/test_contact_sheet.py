"""The contact sheet: which frame of which clip stands where."""

from __future__ import annotations

import itertools
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from flat_clip import flat_clip
from numpy.typing import NDArray
from PIL import Image

from transforms.media.contact_sheet import BACKGROUND, GAP, UNREADABLE, contact_sheet

RED, GREEN, BLUE = (220, 30, 30), (30, 200, 30), (30, 30, 220)
Color = tuple[int, int, int]


def sheet_of(clips: list[Path], out: Path, **layout: int) -> NDArray[np.uint8]:
    """Make a sheet and read it back with another program. (H, W, 3) uint8 RGB."""
    contact_sheet(clips, out, **layout)
    with Image.open(out) as image:
        assert image.format == "PNG"
        assert image.mode == "RGB"
        return np.asarray(image)


def tile_of(sheet: NDArray[np.uint8], row: int, column: int, width: int) -> NDArray[np.uint8]:
    """Return one tile of a sheet with tiles of this width."""
    height = width * 9 // 16
    top, left = GAP + row * (height + GAP), GAP + column * (width + GAP)
    return sheet[top : top + height, left : left + width]


def is_close(pixel: NDArray[np.uint8], color: Color, tolerance: int = 8) -> bool:
    """Return whether a pixel has the colour, give or take encoding."""
    return bool(np.all(np.abs(pixel.astype(int) - color) <= tolerance))


def test_middle_frames_stand_in_order(tmp_path: Path) -> None:
    wide = (160, 90)
    clips = [
        flat_clip(tmp_path / "1.mp4", [RED] * 5 + [GREEN] + [BLUE] * 4, size=wide),
        flat_clip(tmp_path / "2.mp4", [RED] * 5 + [GREEN] * 6, size=wide),
        flat_clip(tmp_path / "3.mp4", [BLUE], size=wide),
    ]
    sheet = sheet_of(clips, tmp_path / "sheet.png", columns=2, tile_width=160)
    assert sheet.shape == (2 * 90 + 3 * GAP, 2 * 160 + 3 * GAP, 3)
    for (row, column), color in {(0, 0): GREEN, (0, 1): GREEN, (1, 0): BLUE}.items():
        tile = tile_of(sheet, row, column, 160)
        assert is_close(tile[20, 80], color)
        assert is_close(tile[70, 80], (0, 0, 0))
    assert np.all(tile_of(sheet, 1, 1, 160) == BACKGROUND)
    assert np.all(sheet[:GAP] == BACKGROUND)


def edges(tile: NDArray[np.uint8]) -> tuple[int, int]:
    """Return height and width of the part of the tile that holds picture."""
    shown = np.any(tile.astype(int) > BACKGROUND + 40, axis=2) | np.all(tile < 12, axis=2)
    rows, columns = np.nonzero(shown)
    return int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1


@pytest.mark.parametrize(
    ("size", "options", "rows", "columns"),
    [
        ((320, 180), {}, 180, 320),
        ((180, 320), {}, 180, 101),
        ((400, 100), {}, 80, 320),
        ((100, 100), {"sample_aspect_ratio": Fraction(4, 3)}, 180, 240),
        ((320, 180), {"rotation": 90}, 180, 101),
    ],
)
def test_proportions_are_kept(
    tmp_path: Path,
    size: tuple[int, int],
    options: dict[str, int | Fraction],
    rows: int,
    columns: int,
) -> None:
    clip = flat_clip(tmp_path / "clip.mp4", [RED] * 5, size=size, **options)
    tile = tile_of(sheet_of([clip], tmp_path / "sheet.png"), 0, 0, 320)
    assert edges(tile) == (rows, columns)


@pytest.mark.parametrize(("rotation", "red_side"), [(90, "right"), (180, "down"), (270, "left")])
def test_rotated_clips_are_upright(tmp_path: Path, rotation: int, red_side: str) -> None:
    """Stored with red above black; a clockwise turn by 90 degrees shows the red on the right."""
    clip = flat_clip(tmp_path / "clip.mp4", [RED] * 3, size=(96, 96), rotation=rotation)
    tile = tile_of(sheet_of([clip], tmp_path / "sheet.png"), 0, 0, 320)
    points = {"left": (90, 100), "right": (90, 220), "up": (30, 160), "down": (150, 160)}
    assert is_close(tile[points[red_side]], RED)
    opposite = {"left": "right", "right": "left", "down": "up"}[red_side]
    assert is_close(tile[points[opposite]], (0, 0, 0))


def test_clip_that_does_not_decode_is_a_grey_tile(tmp_path: Path) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("not a video\n" * 100)
    sound = tmp_path / "sound.mp4"
    with av.open(str(sound), "w") as out:
        stream = out.add_stream("aac", rate=48000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.sample_rate = 48000
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    good = flat_clip(tmp_path / "good.mp4", [GREEN] * 3, size=(160, 90))
    sheet = sheet_of([text, sound, good], tmp_path / "sheet.png", tile_width=160)
    assert np.all(tile_of(sheet, 0, 0, 160) == UNREADABLE)
    assert np.all(tile_of(sheet, 0, 1, 160) == UNREADABLE)
    assert is_close(tile_of(sheet, 0, 2, 160)[20, 80], GREEN)


def test_of_many_clips_24_are_shown(tmp_path: Path) -> None:
    clips = [flat_clip(tmp_path / f"{i}.mp4", [(0, 8 * i, 0)]) for i in range(30)]
    sheet = sheet_of(clips, tmp_path / "sheet.png", columns=6, tile_width=64)
    assert sheet.shape == (4 * 36 + 5 * GAP, 6 * 64 + 7 * GAP, 3)
    greens = [int(tile_of(sheet, i // 6, i % 6, 64)[8, 32, 1]) for i in range(24)]
    shown = [round(green / 8) for green in greens]
    assert shown[0] == 0
    assert shown[-1] == 29
    assert all(1 <= after - before <= 2 for before, after in itertools.pairwise(shown))


def test_same_clips_same_bytes(real_videos: Path, tmp_path: Path) -> None:
    clips = [real_videos / "sam2_01_dog.mp4", real_videos / "fate_hevc_dv84.mp4"]
    for name in ("a.png", "b.png"):
        contact_sheet(clips, tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_middle_frame_after_a_seek_is_that_of_a_straight_decode(
    real_videos: Path, tmp_path: Path
) -> None:
    """This file decodes to garbage after a seek unless the decoder saw its first packet."""
    clip = real_videos / "imageio_cockatoo.mp4"
    tile = tile_of(sheet_of([clip], tmp_path / "sheet.png"), 0, 0, 320).astype(float)
    with av.open(str(clip)) as container:
        frames = [frame for _, frame in zip(range(141), container.decode(video=0), strict=False)]
    expected = frames[140].to_ndarray(format="rgb24")
    coarse = expected.reshape(180, 4, 320, 4, 3).mean(axis=(1, 3))
    assert np.abs(tile - coarse).mean() < 4


def test_no_clip_or_no_room_is_refused(tmp_path: Path) -> None:
    clip = flat_clip(tmp_path / "clip.mp4", [RED])
    for clips, layout in (([], {}), ([clip], {"columns": 0}), ([clip], {"tile_width": 8})):
        with pytest.raises(ValueError, match="at least 1 clip"):
            contact_sheet(clips, tmp_path / "sheet.png", **layout)
    with pytest.raises(FileNotFoundError):
        contact_sheet([tmp_path / "gone.mp4"], tmp_path / "sheet.png")
    assert not (tmp_path / "sheet.png").exists()
