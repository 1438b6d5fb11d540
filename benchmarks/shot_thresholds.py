"""Find the thresholds of ``splitting_algorithm`` hybrid on drawn footage.

From the repository root: ``python -m benchmarks.shot_thresholds`` writes
``transforms/shots/hybrid_thresholds.json``. It needs the extra ``models``, no real video, and about
40 seconds of one core.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.shot_footage import ENCODINGS, plan_footage
from benchmarks.shot_scores import Scored, Scorer, default_folder
from benchmarks.shot_sources import drawn_sources
from benchmarks.shot_truth import Agreement, agreement, boundaries_of_scenes
from transforms.shots import hybrid
from transforms.shots.boundaries import boundaries_with_transitions
from transforms.shots.hybrid import HybridThresholds, hybrid_boundaries
from transforms.shots.scenes import Scene, scenes_between

SEED = 1
COMMAND = "python -m benchmarks.shot_thresholds"
NETWORK_THRESHOLD = 0.4
START = HybridThresholds(
    supported=0.02,
    change=8,
    stands_out=3,
    alone_change=15,
    alone_stands_out=4,
    gradual=0.3,
    fade=0.2,
    returns=0.45,
    similar=0.95,
    one_way=0.85,
    dip=0.2,
)
"""Where the search begins: what was found by hand on splices of real shots."""
CHOICES: Mapping[str, Sequence[float]] = {
    "supported": (0.005, 0.01, 0.02, 0.03, 0.05, 0.1),
    "change": (5, 6, 8, 10, 12),
    "stands_out": (2, 2.25, 2.5, 2.75, 3, 3.5),
    "alone_change": (10, 12, 15, 18, 22),
    "alone_stands_out": (3, 3.5, 4, 5, 6),
    "gradual": (0.15, 0.2, 0.25, 0.3, 0.35, 0.4),
    "fade": (0.1, 0.15, 0.2, 0.25, 0.3, 0.35),
    "returns": (0.25, 0.35, 0.45, 0.55, 0.65),
    "similar": (0.9, 0.93, 0.95, 0.97, 0.99),
    "one_way": (0.65, 0.75, 0.8, 0.85, 0.9, 0.95),
    "dip": (0.1, 0.15, 0.2, 0.25, 0.3),
}


def tuning_footage(folder: Path, *, seed: int) -> list[Scored]:
    """Draw and score the footage: some 1500 frames, compressed lightly, usually and badly."""
    scorer = Scorer(folder)
    return [
        scorer.footage(
            plan_footage(
                f"drawn-{seed + number}",
                list(drawn_sources(seed=seed + number, count=16)),
                seed=seed + number,
                num_frames=480,
                lengths=(18, 44),
            ),
            encoding,
        )
        for number, encoding in enumerate(ENCODINGS)
    ]


def told_by(video: Scored, found_by: HybridThresholds) -> list[Scene]:
    """Return the boundaries that hybrid tells of a video with these thresholds."""
    is_boundary = hybrid_boundaries(
        video.scores, video.changes, threshold=NETWORK_THRESHOLD, found_by=found_by
    )
    found = boundaries_with_transitions(is_boundary, video.scores)
    return boundaries_of_scenes(scenes_between(found.frames.tolist()))


def agreement_on(footage: Sequence[Scored], found_by: HybridThresholds) -> Agreement:
    """Return how well the boundaries of all videos are found."""
    parts = (agreement(video.boundaries, told_by(video, found_by)) for video in footage)
    return sum(parts, Agreement())


def find_thresholds(footage: Sequence[Scored]) -> HybridThresholds:
    """Return the best thresholds: one after the other, twice.

    Of values that are equally good the one nearest to the middle of them is taken, as far as
    possible from where something is lost.
    """
    best = START
    for _ in range(2):
        for name, choices in CHOICES.items():
            tried = [dataclasses.replace(best, **{name: choice}) for choice in choices]
            f1 = [agreement_on(footage, one).f1 for one in tried]
            good = [position for position, value in enumerate(f1) if value == max(f1)]
            best = tried[good[len(good) // 2]]
    return best


def main() -> None:
    """Find the thresholds and write their file."""
    footage = tuning_footage(default_folder(), seed=SEED)
    found = find_thresholds(footage)
    content = {
        "command": COMMAND,
        "seed": SEED,
        "frames": sum(len(video.scores) for video in footage),
        "f1": round(agreement_on(footage, found).f1, 4),
        "thresholds": dataclasses.asdict(found),
    }
    path = Path(hybrid.__file__).with_name("hybrid_thresholds.json")
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print(path.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
