"""Measures how long TransNetV2 takes on this machine, before a run starts."""

from __future__ import annotations

import functools
import time
from dataclasses import dataclass
from pathlib import Path

from transforms.records import VideoFacts


@dataclass(frozen=True, slots=True)
class NetworkCost:
    """What the network takes, in seconds that pass."""

    start_seconds: float
    """Until it is loaded."""
    round_seconds: float
    """For as many windows as are scored at once."""
    windows_per_round: int

    def seconds(self, facts: VideoFacts, *, windows_per_segment: int) -> float:
        """Return how long the windows of a video take; segments come one after the other."""
        # Imports numpy, which --help does not need.
        from transforms.shots.score_windows import segments_of  # noqa: PLC0415

        rounds = 0
        for segment in segments_of(facts.num_frames, windows_per_segment=windows_per_segment):
            num_windows = segment.end_window - segment.first_window
            rounds += -(-num_windows // self.windows_per_round)
        return rounds * self.round_seconds


@functools.cache
def network_cost(weights: Path, num_threads: int) -> NetworkCost:
    """Return what the network takes here, measured once per process on one round of windows.

    Args:
        weights: File of weights.
        num_threads: Windows that the run scores side by side on a processor.
    """
    started = time.monotonic()
    # Where nothing has imported torch yet, the run will have to.
    import numpy as np  # noqa: PLC0415

    from transforms.models.transnetv2 import CUDA_BATCH, TransNetV2Handler  # noqa: PLC0415
    from transforms.shots.score_windows import MARGIN, STEP  # noqa: PLC0415

    scorer = TransNetV2Handler(weights, num_threads=num_threads).load_model()
    start_seconds = time.monotonic() - started
    num_windows = num_threads if scorer.device == "cpu" else CUDA_BATCH
    windows = np.zeros((num_windows, STEP + 2 * MARGIN, 27, 48, 3), np.uint8)
    # What is made at the first use is no part of a round.
    list(scorer.score(windows if scorer.device != "cpu" else windows[:, :1]))
    started = time.monotonic()
    list(scorer.score(windows))
    return NetworkCost(start_seconds, time.monotonic() - started, num_windows)
