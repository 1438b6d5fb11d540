"""TransNetV2 keeps every core busy, and what it takes is known before a run. Needs torch."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from model_packages import NEEDS_TORCH

from beam_pipeline.estimate.network_cost import network_cost
from transforms.models.transnetv2 import ShotScorer
from transforms.models.weights import find_weights
from transforms.shots.score_windows import Frames

pytestmark = NEEDS_TORCH
THREADS = 2


def windows(count: int, length: int) -> Frames:
    return np.random.default_rng(3).integers(0, 256, (count, length, 27, 48, 3), np.uint8)


def processor_ticks() -> dict[int, int]:
    """Return what each thread of a pool has used so far, by its number in the kernel."""
    ids = [
        thread.native_id
        for thread in threading.enumerate()
        if thread.name.startswith("ThreadPoolExecutor") and thread.native_id
    ]
    stats = {
        number: Path(f"/proc/self/task/{number}/stat").read_text().rpartition(")")[2].split()
        for number in ids
    }
    return {number: int(fields[11]) + int(fields[12]) for number, fields in stats.items()}


def test_windows_are_scored_side_by_side_one_thread_each() -> None:
    import torch

    scorer = ShotScorer(find_weights("transnetv2"), device="cpu", num_threads=THREADS)
    assert torch.get_num_threads() == 1
    some = windows(4 * THREADS + 1, 40)
    busy: list[dict[int, int]] = []

    def told() -> Iterator[Frames]:
        yield from some[:-1]
        busy.append(processor_ticks())
        yield some[-1]

    before = scorer.seconds
    side_by_side = np.stack(list(scorer.score(told())))
    assert len(busy[0]) == THREADS
    assert min(busy[0].values()) > 0
    # What all threads used together; ticks are of 10 ms and their own start-up counts there too.
    used = sum(busy[0].values()) / os.sysconf("SC_CLK_TCK")
    assert used * 0.5 < scorer.seconds - before < used * 1.6 + 0.5
    alone = ShotScorer(find_weights("transnetv2"), device="cpu", num_threads=1)
    assert np.array_equal(np.stack(list(alone.score(some))), side_by_side)


def test_what_the_network_takes_is_measured_once_and_near() -> None:
    weights = find_weights("transnetv2")
    cost = network_cost(weights, THREADS)
    assert network_cost(weights, THREADS) is cost
    assert cost.start_seconds > 0
    assert cost.windows_per_round == THREADS
    scorer = ShotScorer(weights, device="cpu", num_threads=THREADS)
    pairs = []
    for _ in range(3):
        # Other work on the machine comes and goes; a wrong measurement is wrong every time.
        cost = network_cost.__wrapped__(weights, THREADS)
        started = time.monotonic()
        list(scorer.score(windows(2 * THREADS, 100)))
        pairs.append((2 * cost.round_seconds, time.monotonic() - started))
        if pairs[-1][1] / 1.5 < pairs[-1][0] < pairs[-1][1] * 1.5:
            break
    else:
        pytest.fail(f"told and taken, three times: {pairs}")
