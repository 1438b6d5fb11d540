"""A block code in the bottom-left corner that names the frame and the shot of a picture.

Layout, in blocks of 1/60 of the short side: a black ring one block wide around a finder row
(white, black, white, ...) and four data rows of ten blocks, 12 x 7 blocks in all, set one block
away from the left and the bottom edge. The data rows hold 40 bits, most significant first, row by
row from the top: 20 bits frame number, 12 bits shot number, 8 bits CRC. White is 1. Block edges
are rounded to whole pixels, so a reader needs nothing but the size of the picture.
"""

from fractions import Fraction
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from transforms.sample.planes import Planes

COLUMNS, ROWS = 12, 7
INSET_BLOCKS = 1
BLOCKS_PER_SHORT_SIDE = 60
FRAME_BITS, SHOT_BITS, CRC_BITS = 20, 12, 8
WHITE, BLACK, GREY = 235, 16, 128
CRC_POLYNOMIAL, CRC_START = 0x07, 0xFF


def crc8(value: int) -> int:
    """Return the CRC-8 (polynomial 0x07, start 0xFF) of a 32-bit number, high byte first.

    Example:
        >>> crc8(0), crc8(1)
        (209, 214)
    """
    crc = CRC_START
    for byte in value.to_bytes(4, "big"):
        crc ^= byte
        for _ in range(8):
            crc = ((crc << 1) ^ (CRC_POLYNOMIAL if crc & 0x80 else 0)) & 0xFF
    return crc


def code_bits(frame: int, shot: int) -> NDArray[np.bool_]:
    """Return the whole pattern for one frame as blocks. Shape (7, 12), True is white.

    Args:
        frame: Number of the frame in its file, counted from 0, below 2**20.
        shot: Number of the shot in its file, counted from 0, below 2**12.

    Raises:
        ValueError: A number does not fit its bits.
    """
    if not 0 <= frame < 1 << FRAME_BITS or not 0 <= shot < 1 << SHOT_BITS:
        raise ValueError(
            f"a block code holds frames below {1 << FRAME_BITS} and shots below {1 << SHOT_BITS}, "
            f"got frame {frame}, shot {shot}; draw a shorter file"
        )
    word = frame << SHOT_BITS | shot
    word = word << CRC_BITS | crc8(word)
    bits = [
        bool(word >> shift & 1) for shift in range(FRAME_BITS + SHOT_BITS + CRC_BITS - 1, -1, -1)
    ]
    pattern = np.zeros((ROWS, COLUMNS), dtype=bool)
    pattern[1, 1:-1:2] = True
    pattern[2:-1, 1:-1] = np.array(bits).reshape(ROWS - 3, COLUMNS - 2)
    return pattern


@lru_cache(maxsize=8)
def block_edges(width: int, height: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the pixel edges of the code's columns (13,) and rows (8,), both increasing."""
    block = Fraction(min(width, height), BLOCKS_PER_SHORT_SIDE)
    x = [round((INSET_BLOCKS + i) * block) for i in range(COLUMNS + 1)]
    y = [height - round((INSET_BLOCKS + ROWS - j) * block) for j in range(ROWS + 1)]
    return np.array(x), np.array(y)


def draw_code(canvas: Planes, *, frame: int, shot: int) -> None:
    """Draw the code of ``frame`` and ``shot`` onto ``canvas`` at full contrast, without colour."""
    height, width = canvas.y.shape
    x, y = block_edges(width, height)
    pattern = np.where(code_bits(frame, shot), WHITE, BLACK).astype(np.uint8)
    pixels = np.repeat(np.repeat(pattern, np.diff(y), axis=0), np.diff(x), axis=1)
    canvas.y[y[0] : y[-1], x[0] : x[-1]] = pixels
    colour = np.s_[y[0] // 2 : (y[-1] + 1) // 2, x[0] // 2 : (x[-1] + 1) // 2]
    canvas.u[colour] = GREY
    canvas.v[colour] = GREY


def describe_geometry() -> dict[str, object]:
    """Return the layout of the code as plain JSON values, for the truth beside each file."""
    return {
        "corner": "bottom-left",
        "block": f"short side / {BLOCKS_PER_SHORT_SIDE}",
        "inset_blocks": INSET_BLOCKS,
        "columns": COLUMNS,
        "rows": ROWS,
        "frame_bits": FRAME_BITS,
        "shot_bits": SHOT_BITS,
        "crc_bits": CRC_BITS,
        "crc": f"CRC-8, polynomial {CRC_POLYNOMIAL:#04x}, start {CRC_START:#04x}",
    }
