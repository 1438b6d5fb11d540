"""A tiny bitmap font, five by seven dots, for the text in the drawn scenes."""

import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT = 5, 7

# Seven rows of five dots a letter, top first, each row written as the two digits of its bits.
_ROWS = {
    "A": "0e11111f111111",
    "B": "1e11111e11111e",
    "C": "0e11101010110e",
    "D": "1e11111111111e",
    "E": "1f10101e10101f",
    "F": "1f10101e101010",
    "G": "0e11101711110f",
    "H": "1111111f111111",
    "I": "0e04040404040e",
    "K": "11121418141211",
    "L": "1010101010101f",
    "M": "111b1515111111",
    "N": "11191513111111",
    "O": "0e11111111110e",
    "P": "1e11111e101010",
    "R": "1e11111e141211",
    "S": "0f10100e01011e",
    "T": "1f040404040404",
    "U": "1111111111110e",
    "V": "11111111110a04",
    "W": "1111111515150a",
    "Y": "11110a04040404",
    "0": "0e11131519110e",
    "1": "040c040404040e",
    "2": "0e11010204081f",
    "3": "1f02040201110e",
    "4": "02060a121f0202",
    "5": "1f101e0101110e",
    "6": "0608101e11110e",
    "7": "1f010204080808",
    "8": "0e11110e11110e",
    "9": "0e11110f01020c",
    " ": "00000000000000",
}


def text_mask(text: str, *, dot_px: int) -> NDArray[np.bool_]:
    """Return ``text`` as a mask, True where there is ink. Shape (7 * dot_px, 6 * len * dot_px).

    Raises:
        ValueError: The font has no such letter.
    """
    missing = sorted(set(text) - set(_ROWS))
    if missing:
        raise ValueError(f"the sample font has no {missing}; it has {''.join(sorted(_ROWS))!r}")
    dots = np.concatenate([_letter(letter) for letter in text], axis=1)
    return dots.repeat(dot_px, axis=0).repeat(dot_px, axis=1)


def _letter(letter: str) -> NDArray[np.bool_]:
    rows = np.frombuffer(bytes.fromhex(_ROWS[letter]), dtype=np.uint8)
    dots = np.unpackbits(rows[:, None], axis=1)[:, 8 - WIDTH :].astype(bool)
    return np.pad(dots, ((0, 0), (0, 1)))
