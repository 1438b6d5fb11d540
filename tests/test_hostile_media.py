"""300 broken videos: each ends as curated, too short or failed by name; nothing else is lost."""

from __future__ import annotations

import os
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import broken_bases
import broken_media
import pytest
from broken_bases import base
from ffmpeg_oracle import ffmpeg
from hostile_outcomes import Outcome, documented_reasons, outcomes
from tree import tree
from wrong_use import STRIDE, environment

from benchmarks.process_tree import Cost, measure

NUM_RUNS, CASES_PER_RUN = 3, 100
SECONDS_PER_RUN = 170
MAX_BYTES = 700_000_000
"""Of all processes of a run at a time, what they share counted in each."""
VALID = ("faststart.mp4", "hevc.mov", "b_frames.mkv", "vp9.webm", "mpeg2.ts", "mpeg4.avi")
_CASES = broken_media.names(NUM_RUNS * CASES_PER_RUN)


@dataclass(frozen=True)
class Run:
    """One run over valid and broken videos."""

    raw: Path
    out: Path
    log: Path
    cost: Cost


def _curate(folder: Path, files: dict[str, bytes]) -> Run:
    """Run ``curate`` over the files; it must end by itself with 0, 1 or 3, in time."""
    raw, out, log = folder / "raw", folder / "out", folder / "log"
    raw.mkdir(parents=True)
    for name, data in files.items():
        (raw / name).write_bytes(data)
    command = [
        *("timeout", "--kill-after=5", str(SECONDS_PER_RUN)),
        *(sys.executable, "-m", "beam_pipeline", "curate"),
        *("--input_video_path", str(raw), "--output_clip_path", str(out / "processed")),
        *("--output_dataset_path", str(out / "dataset"), "--id_root", "/videos", "--no-predict"),
        *STRIDE,
        *("--motion_filter", "score-only", "--generate_previews", "--max_failed_share", "1"),
    ]
    cost = measure(command, log=log, environment=environment({}), allowed=(0, 3))
    return Run(raw, out, log, cost)


@pytest.fixture(scope="module")
def valid() -> dict[str, bytes]:
    """Return the videos that nothing is wrong with."""
    return {f"valid_{name}": base(name) for name in VALID}


@pytest.fixture(scope="module")
def undisturbed(
    valid: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """Return what a run over the valid videos alone leaves for them."""
    run = _curate(tmp_path_factory.mktemp("undisturbed"), valid)
    found = outcomes(run.out / "processed")
    assert {rel: outcome.kind for rel, outcome in found.items()} == dict.fromkeys(valid, "curated")
    return _results(run)


def _results(run: Run) -> dict[str, str]:
    """Return the hash of every file that belongs to a video or clip."""
    folder = run.out / "processed"
    hashes = tree(folder, {"<raw>": run.raw, "<out>": run.out})
    return {rel: digest for rel, digest in hashes.items() if rel != "summary.json"}


@pytest.mark.parametrize("number", range(NUM_RUNS))
def test_every_broken_video_is_curated_or_fails_by_name(
    number: int, valid: dict[str, bytes], undisturbed: dict[str, str], tmp_path: Path
) -> None:
    cases = _CASES[number::NUM_RUNS]
    broken = dict(broken_media.make(name) for name in cases)

    run = _curate(tmp_path, {**valid, **broken})

    found = outcomes(run.out / "processed")
    assert set(found) == {*valid, *broken}
    assert {rel: outcome.problems for rel, outcome in found.items() if outcome.problems} == {}
    assert [text for rel, outcome in found.items() for text in _unnamed(rel, outcome)] == []
    assert undisturbed.items() <= _results(run).items()
    _check_clips(run, found)
    assert run.cost.peak_bytes < MAX_BYTES
    print(Counter(_label(outcome) for rel, outcome in found.items()), run.cost)


def _label(outcome: Outcome) -> str:
    if not outcome.failures:
        return outcome.kind
    return f"{outcome.failures[0]['stage']}/{outcome.failures[0]['reason']}"


def _unnamed(rel: str, outcome: Outcome) -> list[str]:
    """Return failures that do not say what, why and of which file."""
    told = []
    for failure in outcome.failures:
        reason = (failure["stage"], failure["reason"])
        if reason not in documented_reasons():
            told.append(f"{rel}: {reason} is not documented: {failure['message']}")
        if rel not in failure["message"] or "\n" in failure["message"]:
            told.append(f"{rel}: says {failure['message']!r}")
    return told


def _check_clips(run: Run, found: dict[str, Outcome]) -> None:
    """Compare each clip's metadata with what the ffmpeg binary decodes."""
    metas = [meta for outcome in found.values() for meta in outcome.clips.values()]
    assert len(metas) >= CASES_PER_RUN // 2
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        counts = list(pool.map(_count_frames, (Path(meta["clip_location"]) for meta in metas)))
    stated = {meta["span_uuid"]: meta["num_frames"] for meta in metas}
    assert dict(zip(stated, counts, strict=True)) == stated
    files = {path.stem for path in (run.out / "processed").glob("*clips/*.mp4")}
    assert files == set(stated)


def _count_frames(path: Path) -> int:
    printed = ffmpeg(
        *("-threads", "1", "-i", f"file:{path}", "-map", "0:V:0"),
        *("-fps_mode", "passthrough", "-enc_time_base", "demux", "-c:v", "rawvideo"),
        *("-f", "framecrc", "-"),
    )
    return sum(not line.startswith("#") for line in printed.splitlines())


def test_a_case_reproduces_from_its_name_alone() -> None:
    names = broken_media.names(2 * len(broken_media.KINDS))
    first = [broken_media.make(name) for name in names]

    broken_bases.base.cache_clear()

    assert [broken_media.make(name) for name in names] == first
    assert len(set(_CASES)) == NUM_RUNS * CASES_PER_RUN
    assert {name.rsplit("-", 1)[0] for name in _CASES} == set(broken_media.KINDS)
