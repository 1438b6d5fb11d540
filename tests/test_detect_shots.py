"""Detecting shots without a model: exact spans, exact frames, failures by name, resume."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from independent_ledger import check
from model_packages import without_packages
from run_command import Curated
from shot_videos import ShotVideo, codes_of, make_shots
from wrong_use import environment, use, use_process

from beam_pipeline.cli import main
from transforms.faults import FAULT_VARIABLE
from transforms.formats.catalogue import kinds_of

SHORT = (
    *("--splitting_algorithm", "content", "--no-predict"),
    *("--transnetv2_min_length_s", "0.4", "--transnetv2_min_length_frames", "10"),
)
OPTIONS = (*SHORT, "--transnetv2_crop_s", "0")
HARD = ShotVideo((30, 45, 20, 60))
VARIABLE = ShotVideo((30, 40, 30), ticks=(20, 60, 30, 50))
VIDEOS = {
    "sub/hard.mp4": HARD,
    "variable.mkv": VARIABLE,
    "one_frame.mp4": ShotVideo((1,)),
    "below_a_window.mp4": ShotVideo((12,)),
    "too_short.mp4": ShotVideo((4,)),
    "damaged.mp4": ShotVideo((200, 200)),
}
SPANS = {
    "sub/hard.mp4": [(0, 30), (30, 75), (75, 95), (95, 155)],
    "variable.mkv": [(0, 30), (30, 70), (70, 100)],
    "one_frame.mp4": [],
    "below_a_window.mp4": [(0, 12)],
    "too_short.mp4": [],
}


@dataclass(frozen=True)
class Split:
    """An output and its input."""

    raw: Path
    out: Path
    status: int

    def json(self, rel: str) -> Any:
        return json.loads((self.out / rel).read_text())

    def plan(self, rel: str) -> dict[str, Any]:
        return self.json(f".work/plans/{video_id(self.raw / rel)}.json")


def video_id(path: Path) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, str(path)))


def split(raw: Path, out: Path, *options: str) -> Split:
    paths = ("--input_video_path", str(raw), "--output_clip_path", str(out))
    return Split(raw, out, main(["split", *paths, *options]))


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shots") / "raw"
    for rel, video in VIDEOS.items():
        make_shots(folder / rel, video)
    damaged = folder / "damaged.mp4"
    content = bytearray(damaged.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 2000] = bytes(2000)
    damaged.write_bytes(content)
    return folder


@pytest.fixture(scope="module")
def done(raw: Path) -> Split:
    return split(raw, raw.parent / "out", *OPTIONS, "--max_failed_share", "0.5")


@pytest.mark.parametrize("rel", SPANS)
def test_spans_are_the_shots(done: Split, rel: str) -> None:
    plan, fps = done.plan(rel), Fraction(done.plan(rel)["facts"]["average_rate"])
    found = [
        (round(span["start_seconds"] * fps), round(span["end_seconds"] * fps))
        for span in plan["spans"]
    ]
    assert found == SPANS[rel]
    path = done.raw / rel
    assert [span["clip_id"] for span in plan["spans"]] == [
        str(uuid.uuid5(uuid.NAMESPACE_URL, f"{path}_{start}_{end}")) for start, end in SPANS[rel]
    ]


@pytest.mark.parametrize("rel", SPANS)
def test_a_clip_has_exactly_the_frames_of_its_shot(done: Split, rel: str) -> None:
    clips = [
        codes_of(done.out / "clips" / f"{span['clip_id']}.mp4") for span in done.plan(rel)["spans"]
    ]
    assert clips == [
        [(frame, shot) for frame in range(start, end)]
        for shot, (start, end) in enumerate(SPANS[rel])
    ]


def test_exact_times_are_those_of_the_frames(done: Split) -> None:
    spans = done.plan("variable.mkv")["spans"]
    ticks = VARIABLE.ticks
    starts = [sum(ticks[n % len(ticks)] for n in range(frame)) for frame in (0, 30, 70)]
    assert [Fraction(span["start"]) for span in spans] == [Fraction(one, 1000) for one in starts]
    assert [span["end"] for span in spans] == [*(span["start"] for span in spans[1:]), None]


def test_a_video_that_fails_half_way_fails_by_name_and_alone(done: Split) -> None:
    assert done.status == 3
    (failure,) = (done.out / "failures" / "split").iterdir()
    told = json.loads(failure.read_text())
    assert failure.stem == video_id(done.raw / "damaged.mp4")
    assert (told["rel"], told["stage"]) == ("damaged.mp4", "split")
    assert told["reason"] in ("corrupt_frame", "decode_error")
    assert str(done.raw / "damaged.mp4") in told["message"]
    assert not (done.out / ".work" / "plans" / failure.name).exists()


def test_the_output_is_whole(done: Split, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(done.out, None) == []
    ended = use(capsys, "verify", done.out)
    assert ended.status == 0, ended.err


def test_every_file_is_as_the_formats_say(done: Split) -> None:
    for path in (path for path in done.out.rglob("*") if path.is_file()):
        (kind,) = kinds_of("output", path.relative_to(done.out).as_posix())
        if kind.document is not None:
            kind.document.model_validate_json(path.read_bytes())


def test_shots_too_short_for_a_clip_are_listed(done: Split) -> None:
    record = done.json("processed_videos/too_short.mp4.json")
    assert (record["num_total_clips"], record["uncovered"]) == (0, [[0.0, 0.16, "too_short"]])


@pytest.fixture(scope="module")
def hard(raw: Path) -> Path:
    """Return a folder with the one video of hard cuts."""
    folder = raw.parent / "one"
    folder.mkdir()
    (folder / "hard.mp4").hardlink_to(raw / "sub" / "hard.mp4")
    return folder


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (
            ("--transnetv2_crop_s", "0.2"),
            [
                *((0, 5, "crop"), (5, 25, ""), (25, 35, "crop"), (35, 70, ""), (70, 80, "crop")),
                *((80, 90, ""), (90, 100, "crop"), (100, 150, ""), (150, 155, "crop")),
            ],
        ),
        (
            ("--transnetv2_crop_s", "0", "--limit_clips", "2"),
            [(0, 30, ""), (30, 75, ""), (75, 155, "limit_clips")],
        ),
        (
            (
                *("--transnetv2_crop_s", "0", "--transnetv2_max_length_s", "1.0"),
                *("--transnetv2_max_length_mode", "truncate"),
            ),
            [
                *((0, 25, ""), (25, 30, "too_long"), (30, 55, ""), (55, 75, "too_long")),
                *((75, 95, ""), (95, 120, ""), (120, 155, "too_long")),
            ],
        ),
        (
            ("--transnetv2_crop_s", "0", "--transnetv2_min_length_frames", "25"),
            [(0, 30, ""), (30, 75, ""), (75, 95, "too_short"), (95, 155, "")],
        ),
    ],
    ids=["crop", "limit_clips", "max_length", "min_length"],
)
def test_every_second_is_in_a_clip_or_listed_with_its_reason(
    options: Sequence[str], expected: list[tuple[int, int, str]], hard: Path, tmp_path: Path
) -> None:
    done = split(hard, tmp_path / "out", *SHORT, *options)
    assert done.status == 0
    plan = done.plan("hard.mp4")
    clips = [(span["start_seconds"], span["end_seconds"], "") for span in plan["spans"]]
    pieces = sorted([*clips, *(tuple(piece) for piece in plan["uncovered"])])
    assert pieces == [(start / 25, end / 25, reason) for start, end, reason in expected]


def test_a_child_that_crashes_over_a_segment_fails_its_video(
    raw: Path, hard: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FAULT_VARIABLE, f"crash:{video_id(hard / 'hard.mp4')}-0")
    done = split(hard, tmp_path / "out", *OPTIONS)
    assert done.status == 1
    (failure,) = (done.out / "failures" / "split").iterdir()
    told = json.loads(failure.read_text())
    assert told["reason"] == "crash"
    assert "SIGSEGV" in told["message"]
    assert str(hard / "hard.mp4") in told["message"]
    monkeypatch.delenv(FAULT_VARIABLE)
    again = split(hard, tmp_path / "out", *OPTIONS, "--retry_failed")
    assert again.status == 0
    assert len(again.plan("hard.mp4")["spans"]) == 4


def test_a_planned_video_is_not_detected_again(hard: Path, tmp_path: Path) -> None:
    done = split(hard, tmp_path / "out", *OPTIONS)
    for path in (done.out / ".work" / "shots").rglob("*.npz"):
        path.unlink()
    for path in (*done.out.glob("processed_*/**/*.json"), *done.out.glob("metas/v0/*")):
        path.unlink()
    assert split(hard, tmp_path / "out", *OPTIONS).status == 0
    assert len(list((done.out / "metas" / "v0").iterdir())) == 4
    assert not list((done.out / ".work" / "shots").rglob("*.npz"))


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of three videos; the last one has two segments."""
    folder = tmp_path_factory.mktemp("several") / "raw"
    make_shots(folder / "a.mp4", ShotVideo((30, 45)))
    make_shots(folder / "b.mp4", ShotVideo((50, 20)))
    make_shots(folder / "c.mp4", ShotVideo((1990, 40, 60)))
    return folder


def test_a_killed_run_goes_on_with_the_scores_that_are_stored(
    several: Path, tmp_path: Path
) -> None:
    whole = Curated.below(tmp_path / "whole", several)
    killed = Curated.below(tmp_path / "killed", several)
    assert whole.curate(*OPTIONS) == 0
    paths = ("--input_video_path", several, "--output_clip_path", killed.out)
    # Right behind the first scores that it stores, whichever they are.
    assert killed_by_itself("curate", *paths, *OPTIONS, order="kill@segment_scored")
    stored = {path: path.stat().st_mtime_ns for path in scores_of(killed.out)}
    assert len(stored) == 1
    assert not list((killed.out / ".work").glob("plans/*"))
    assert killed.curate(*OPTIONS, "--perf_profile") == 0
    assert {path: path.stat().st_mtime_ns for path in stored} == stored
    assert len(scores_of(killed.out)) == 4
    # What a segment decodes begins at a keyframe, 40 frames before the next one at most.
    counters = json.loads((killed.out / "performance_stats_0.json").read_text())["counters"]
    seen = {"a.mp4#0": 75, "b.mp4#0": 70, "c.mp4#0": 2025, "c.mp4#1": 115}
    left = sum(seen[name] for name in seen if name not in names_of(killed, stored))
    assert left <= counters["frames_detected"] <= left + 40
    assert killed.trees() == whole.trees()


def scores_of(out: Path) -> list[Path]:
    return sorted((out / ".work" / "shots").rglob("*.npz"))


def names_of(curated: Curated, paths: dict[Path, int]) -> set[str]:
    rels = {video_id(path): path.name for path in curated.raw.iterdir()}
    return {f"{rels[path.parts[-3]]}#{int(path.stem)}" for path in paths}


def killed_by_itself(*arguments: str | Path, order: str) -> bool:
    """Run the program in a process group of its own; return whether it was killed as ordered."""
    command = [sys.executable, "-m", "beam_pipeline", *map(str, arguments)]
    env = environment({FAULT_VARIABLE: order})
    return subprocess.run(command, env=env, start_new_session=True, check=False).returncode == -9


def test_worker_processes_find_the_same(several: Path, tmp_path: Path) -> None:
    one = Curated.below(tmp_path / "one", several)
    two = Curated.below(tmp_path / "two", several)
    assert one.curate(*OPTIONS) == 0
    flags = ("--direct_running_mode=multi_processing", "--direct_num_workers=2")
    assert two.curate(*OPTIONS, *flags) == 0
    assert one.trees() == two.trees()


def test_other_settings_do_not_reuse_scores(hard: Path, tmp_path: Path) -> None:
    first = split(hard, tmp_path / "out", *OPTIONS)
    (before,) = scores_of(first.out)
    # As if the file had been replaced before its plan was made.
    for path in (*first.out.glob("processed_*/**/*.json"), *first.out.glob(".work/plans/*")):
        path.unlink()
    again = split(hard, tmp_path / "out", *OPTIONS, "--transnetv2_compat", "--accept_changes")
    assert again.status == 0
    assert set(scores_of(first.out)) > {before}


@pytest.mark.parametrize(
    ("options", "needles"),
    [
        (["--splitting_algorithm", "transnetv3"], ["splitting_algorithm", "transnetv2", "content"]),
        (["--content_threshold", "0"], ["content_threshold"]),
        (
            ["--transnetv2_max_length_s", "1", "--transnetv2_min_length_s", "2"],
            ["transnetv2_max_length_s=1", "less than", "transnetv2_min_length_s=2"],
        ),
    ],
)
def test_options_that_cannot_work(
    options: list[str], needles: list[str], hard: Path, tmp_path: Path, capsys: Any
) -> None:
    paths = ("--input_video_path", hard, "--output_clip_path", tmp_path / "out")
    ended = use(capsys, "split", *paths, *options)
    assert ended.status == 2
    ended.told(*needles)


@pytest.fixture
def no_torch(tmp_path: Path) -> dict[str, str]:
    """Return the environment of a Python that finds no torch, also where it is installed."""
    return without_packages(tmp_path / "site", "torch")


def test_transnetv2_without_torch_is_one_sentence(
    hard: Path, tmp_path: Path, no_torch: dict[str, str]
) -> None:
    paths = ("--input_video_path", hard, "--output_clip_path", tmp_path / "out")
    ended = use_process(*("split", *paths, "--splitting_algorithm", "transnetv2"), env=no_torch)
    assert ended.status == 1
    assert len(ended.complaints) == 1
    ended.told("needs torch", "pip install 'beam-curate[models]'", "--splitting_algorithm content")
    assert not (tmp_path / "out").exists()


def test_without_torch_the_default_is_content_and_stays_so(
    hard: Path, tmp_path: Path, no_torch: dict[str, str]
) -> None:
    paths = ("--input_video_path", hard, "--output_clip_path", tmp_path / "out")
    ended = use_process("split", *paths, *OPTIONS[2:], env=no_torch)
    assert ended.status == 0
    ended.told(
        "splitting_algorithm: content (torch is not here: pip install 'beam-curate[models]' for "
        "hybrid)"
    )
    options = json.loads((tmp_path / "out" / "runs" / "options.json").read_text())["options"]
    assert options["splitting_algorithm"] == "content"
    again = use_process("plan", "split", *paths)
    assert "splitting_algorithm: content (as this output was begun)" in again.out


def test_an_output_of_fixed_stride_stays_so(
    hard: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = split(hard, tmp_path / "out", "--splitting_algorithm", "fixed-stride", "--no-predict")
    assert done.status == 0
    assert split(hard, tmp_path / "out", "--no-predict").status == 0
    assert "splitting_algorithm: fixed-stride (as this output was begun)" in capsys.readouterr().err
    assert len(done.plan("hard.mp4")["spans"]) == 1
