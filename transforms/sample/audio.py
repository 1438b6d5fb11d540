"""Sound for sample videos: a plucked melody, made of sines."""

from collections.abc import Iterator
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

_PENTATONIC_HZ = (220.0, 261.63, 293.66, 329.63, 392.0, 440.0, 523.25, 587.33)
_NOTES_PER_SECOND = 4


def play_melody(
    seed: int, *, rate: int, duration: Fraction, block: int
) -> Iterator[NDArray[np.float32]]:
    """Yield mono blocks of ``block`` samples in [-0.3, 0.3]; the last may be shorter.

    Args:
        seed: Decides the notes.
        rate: Samples per second.
        duration: Length in seconds, rounded up to a sample.
        block: Samples per block.
    """
    total = -int(-duration * rate // 1)
    notes = np.random.default_rng([seed, 3]).choice(_PENTATONIC_HZ, 64)
    length = rate // _NOTES_PER_SECOND
    for start in range(0, total, block):
        sample = np.arange(start, min(start + block, total))
        within = sample % length
        tone = np.sin(2 * np.pi / rate * notes[sample // length % len(notes)] * within)
        # The note starts softly, or each one would click.
        shape = np.exp(-4.0 * within / length) * np.minimum(within / (rate / 200), 1.0)
        yield (0.3 * tone * shape).astype(np.float32)
