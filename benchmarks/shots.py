"""How well shots are found: our detectors and PySceneDetect's on the same files.

From the repository root: ``python -m benchmarks.shots`` prints the table of ``docs/shots.md``. It
needs the extras ``models`` and ``benchmark``, and scores 7000 frames (25 ms of a core each).
Where ``BEAM_CURATE_TEST_VIDEOS`` names the folder of real videos, these are spliced and told too.
None of the footage is what the thresholds were found on.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from scenedetect import AdaptiveDetector, ContentDetector, detect

from benchmarks.shot_footage import ENCODINGS, Event, plan_footage
from benchmarks.shot_scores import Scored, Scorer, default_folder
from benchmarks.shot_sources import HELD_OUT_STRETCHES, drawn_sources, real_sources
from benchmarks.shot_thresholds import NETWORK_THRESHOLD, told_by
from benchmarks.shot_truth import Agreement, agreement, boundaries_of_scenes
from transforms.sample.sample_set import draw_sample_set, truth_path
from transforms.shots.boundaries import boundaries_at, boundaries_with_transitions
from transforms.shots.content_change import shots_by_change
from transforms.shots.hybrid import hybrid_thresholds
from transforms.shots.scenes import Scene, scenes_between

SEED = 700
_SHORTEST = 5
"""PySceneDetect's shortest scene; its own default of 15 frames hides false boundaries."""
_CONTENT_THRESHOLD = 15.0
Detector = Callable[[Scored], list[Scene]]
HEADING = (
    "| footage | detector | precision | recall | F1 | cuts | gradual | false |\n"
    "|---|---|---|---|---|---|---|---|"
)


def main() -> None:
    """Print the table."""
    folder = default_folder()
    scorer = Scorer(folder)
    print(HEADING)
    total: dict[str, Agreement] = {}
    for name, videos in footage_sets(scorer, folder):
        for detector, told in DETECTORS.items():
            parts = [agreement(video.boundaries, told(video)) for video in videos]
            found = sum(parts, Agreement())
            total[detector] = total.get(detector, Agreement()) + found
            print(row(name, detector, found), flush=True)
    for detector, found in total.items():
        print(row("all", detector, found))


def row(name: str, detector: str, found: Agreement) -> str:
    """Return one row of the table."""
    shares = " | ".join(f"{value:.3f}" for value in (found.precision, found.recall, found.f1))
    return (
        f"| {name} | {detector} | {shares} | {found.cuts_found} of {found.cuts} "
        f"| {found.gradual_found} of {found.gradual} | {found.false} |"
    )


def footage_sets(scorer: Scorer, folder: Path) -> Iterator[tuple[str, list[Scored]]]:
    """Yield named groups of videos with known boundaries."""
    real = os.environ.get("BEAM_CURATE_TEST_VIDEOS")
    if real:
        sources = real_sources(Path(real), HELD_OUT_STRETCHES)
        plans = [
            plan_footage(f"real-{seed}", sources, seed=seed, num_frames=850)
            for seed in (SEED, SEED + 1, SEED + 2)
        ]
        encoded = zip(plans, ENCODINGS, strict=True)
        yield "real shots, spliced", [scorer.footage(plan, how) for plan, how in encoded]
    plans = [
        plan_footage(
            f"held-out-{seed}",
            list(drawn_sources(seed=seed, count=14)),
            seed=seed,
            num_frames=500,
        )
        for seed in (SEED + 3, SEED + 4, SEED + 5)
    ]
    encoded = zip(plans, ENCODINGS, strict=True)
    yield "drawn shots, spliced", [scorer.footage(plan, how) for plan, how in encoded]
    drawn = draw_sample_set(folder / "sample-set", seconds=64, seed=SEED)
    yield "sample set", [sample_video(scorer, video.path) for video in drawn]
    if real:
        yield "`synth_cuts_gt`, `skv_bikes`", known_files(scorer, Path(real))


def sample_video(scorer: Scorer, path: Path) -> Scored:
    """Score a file of the sample set."""
    truth = json.loads(truth_path(path).read_text(encoding="utf-8"))
    events = [
        Event(one["kind"], one["first_frame"], one["last_frame"]) for one in truth["transitions"]
    ]
    return scorer.video(path, events, [])


def known_files(scorer: Scorer, folder: Path) -> list[Scored]:
    """Score the two real files whose boundaries are known."""
    truth = json.loads((folder / "synth_cuts_gt.gt.json").read_text(encoding="utf-8"))
    events = [Event(one["type"], one["start"], one["end"]) for one in truth["boundaries"]]
    bikes = [Event("cut", start, start) for start in (30, 76, 137, 187, 242)]
    return [
        scorer.video(folder / "synth_cuts_gt.mp4", events, []),
        scorer.video(folder / "skv_bikes.mp4", bikes, []),
    ]


def _network(video: Scored) -> list[Scene]:
    is_boundary = boundaries_at(video.scores, threshold=NETWORK_THRESHOLD)
    found = boundaries_with_transitions(is_boundary, video.scores)
    return boundaries_of_scenes(scenes_between(found.frames.tolist()))


def _content(video: Scored) -> list[Scene]:
    shots = shots_by_change(video.changes.change, threshold=_CONTENT_THRESHOLD)
    return boundaries_of_scenes(shots)


def _hybrid(video: Scored) -> list[Scene]:
    return told_by(video, hybrid_thresholds())


def _adaptive(video: Scored) -> list[Scene]:
    return _of_scenedetect(detect(str(video.path), AdaptiveDetector(min_scene_len=_SHORTEST)))


def _scenedetect_content(video: Scored) -> list[Scene]:
    return _of_scenedetect(detect(str(video.path), ContentDetector(min_scene_len=_SHORTEST)))


def _of_scenedetect(scenes: Sequence[tuple[Any, Any]]) -> list[Scene]:
    starts = [int(start.frame_num) for start, _ in scenes[1:]]
    return [(start, start) for start in starts]


DETECTORS: dict[str, Detector] = {
    "hybrid": _hybrid,
    "transnetv2": _network,
    "content": _content,
    "PySceneDetect Adaptive": _adaptive,
    "PySceneDetect Content": _scenedetect_content,
}

if __name__ == "__main__":
    main()
