"""Reads the block codes of sample videos; written from the layout alone, needs only numpy.

The layout: blocks of 1/60 of the short side; 12 x 7 blocks, one block away from the left and the
bottom edge; a black ring, a finder row of white and black in turn (white first), then four rows of
ten bits: 20 bits frame, 12 bits shot, 8 bits CRC (polynomial 0x07, start 0xFF) of the other 32.
"""

from typing import NamedTuple

import numpy as np


class BlockCode(NamedTuple):
    """What the corner of one picture says."""

    frame: int
    shot: int


def read_code(luma: np.ndarray) -> BlockCode | None:
    """Return the code in an upright luma plane (H, W), uint8 or uint16, of any bit depth and size.

    None where there is no code, or where a block is unclear or the checksum wrong.
    """
    means = _block_means(np.asarray(luma, dtype=np.float64))
    finder = means[1, 1:-1]
    white, black = finder[0::2].mean(), finder[1::2].mean()
    contrast = white - black
    if contrast <= 0:
        return None
    levels = (means - black) / contrast
    # At least a third of the range of the values themselves: noise is not a code.
    if contrast < 0.33 * max(white, 1.0) or np.any(np.abs(levels - 0.5) < 0.1):
        return None
    bits = (levels > 0.5).astype(int)
    ring = np.concatenate([bits[0], bits[-1], bits[:, 0], bits[:, -1]])
    if ring.any() or bits[1, 1:-1].tolist() != [1, 0] * 5:
        return None
    word = int("".join(str(bit) for bit in bits[2:6, 1:11].ravel()), 2)
    if _crc(word >> 8) != word & 0xFF:
        return None
    return BlockCode(frame=word >> 20, shot=word >> 8 & 0xFFF)


def _block_means(luma: np.ndarray) -> np.ndarray:
    """Return the mean of the middle of each of the 7 x 12 blocks."""
    height, width = luma.shape
    block = min(height, width) / 60
    means = np.empty((7, 12))
    for row in range(7):
        top = height - (8 - row) * block
        rows = _middle(top, block)
        for column in range(12):
            means[row, column] = luma[rows, _middle((column + 1) * block, block)].mean()
    return means


def _middle(start: float, block: float) -> slice:
    """Return the pixels of the middle half of a block, at least one."""
    first = round(start + block / 4)
    return slice(first, max(first + 1, round(start + block * 3 / 4)))


def _crc(value: int) -> int:
    """Return the CRC by long division, bit by bit (the start value is a leading XOR)."""
    register = (value ^ 0xFF << 24) << 8
    for shift in range(39, 7, -1):
        if register >> shift & 1:
            register ^= 0x107 << shift - 8
    return register
