"""What must not grow with the number of inputs does not: real listings, measured allocations."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from transforms.ingest.list_videos import VideoInput, list_videos
from transforms.ingest.waves import count_inputs, iter_waves
from transforms.json_files import write_json
from transforms.layout import current_run_uri, failure_uri
from transforms.records import video_uuid
from transforms.run_context import RunContext
from transforms.shards.part_plans import PartPlan
from transforms.shards.plan_shards import _without_planned
from transforms.shards.rows import Rows
from transforms.shards.samples import Sample
from transforms.storage.uri_set import UriSet

FOLDERS, FILES = 20, 500
KIB = 1024


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> VideoInput:
    """Return an input of ten thousand files in twenty folders."""
    root = tmp_path_factory.mktemp("inputs")
    for folder in range(FOLDERS):
        (root / f"{folder:03d}").mkdir()
        for number in range(FILES):
            (root / f"{folder:03d}" / f"{number:05d}.mp4").write_bytes(b"1234")
    return VideoInput(input_video_path=str(root))


def context_of(root: Path) -> RunContext:
    return RunContext(str(root), "run", str(root), str(root / "progress"), (), "spans")


def peak_of(work: Callable[[], object]) -> int:
    """Return the most bytes that Python held at one time for it."""
    work()  # what is imported and cached the first time is no memory per input
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_listing_streams(inputs: VideoInput) -> None:
    counted = count_inputs(inputs)
    assert (counted.num_videos, counted.num_bytes) == (FOLDERS * FILES, 4 * FOLDERS * FILES)
    # One folder's names; all inputs together take ten times as much.
    assert peak_of(lambda: count_inputs(inputs)) < 500 * KIB
    assert peak_of(lambda: list_videos(inputs)) > 3000 * KIB


def test_waves_hold_one_wave(inputs: VideoInput, tmp_path: Path) -> None:
    def run_through(videos_per_wave: int) -> int:
        waves = iter_waves(
            inputs,
            context_of(tmp_path),
            wave_hours=videos_per_wave,
            durations=lambda videos: [3600.0] * len(videos),
        )
        return sum(1 for _ in waves)

    assert run_through(100) == 100
    assert peak_of(lambda: run_through(100)) < 1000 * KIB
    assert peak_of(lambda: run_through(10_000)) > 3000 * KIB


def test_what_failed_before_is_passed_over_and_tried_again_when_asked(
    inputs: VideoInput, tmp_path: Path
) -> None:
    source = f"{inputs.input_video_path}/000/00001.mp4"
    uri = failure_uri(str(tmp_path), "probe", video_uuid(source))
    write_json(uri, {"id": video_uuid(source), "reason": "x"})

    def first_of(context: RunContext) -> str:
        waves = iter_waves(
            inputs.model_copy(update={"limit": 2}),
            context,
            wave_hours=1,
            durations=lambda videos: [3600.0] * len(videos),
        )
        return " ".join(video.rel for wave in waves for video in wave.videos)

    context = context_of(tmp_path)
    assert first_of(context) == "000/00000.mp4 000/00002.mp4"
    retried = RunContext(**{**vars(context), "retry_failed": True})
    assert first_of(retried) == "000/00000.mp4 000/00001.mp4"


def test_an_unfinished_selection_is_the_first_wave_and_counts_against_the_limit(
    inputs: VideoInput, tmp_path: Path
) -> None:
    begun = [f"007/{number:05d}.mp4" for number in range(3)]
    sources = [f"{inputs.input_video_path}/{rel}" for rel in begun]
    content = {"videos": [list(item) for item in zip(begun, sources, sources, strict=True)]}
    write_json(current_run_uri(str(tmp_path)), content)
    waves = iter_waves(
        inputs.model_copy(update={"limit": 5}),
        context_of(tmp_path),
        wave_hours=1,
        durations=lambda videos: [3600.0] * len(videos),
    )
    found = [[video.rel for video in wave.videos] for wave in waves]
    assert found == [begun, ["000/00000.mp4"], ["000/00001.mp4"]]


def test_a_set_of_uris_takes_eight_bytes_each() -> None:
    uris = [f"/some/output/processed_clip_chunks/folder/{n}.mp4_0.json" for n in range(100_000)]
    found = UriSet(iter(uris))
    assert len(found) == 100_000
    assert all(uri in found for uri in uris[::97])
    assert not any(uri + "x" in found for uri in uris[::97])
    assert "x" not in UriSet([])
    assert peak_of(lambda: UriSet(iter(uris))) < 100_000 * 8 * 4


def test_rows_that_a_plan_holds_are_left_out_exactly() -> None:
    samples = [
        Sample(f"clip-{clip:02d}", start, start + 256, True, 10, "a/b/c")
        for clip in range(20)
        for start in (0, 256)
    ]
    rows = Rows.of(samples[::-1], [])
    planned = [("clip-03", 256, 512, True), ("clip-05", 0, 256, True), ("clip-05", 0, 255, True)]
    unknown = [("clip", 0, 256, True), ("clip-99", 0, 256, True)]
    plans = [
        PartPlan("a/b/c", 0, (tuple(planned[:1]), tuple(unknown))),
        PartPlan("a/b/c", 1, ()),
        PartPlan("a/b/c", 2, (tuple(planned[1:]),)),
    ]
    left = _without_planned(rows, iter(plans))
    expected = {(one.clip_id, one.start_frame, one.end_frame) for one in samples}
    expected -= {("clip-03", 256, 512), ("clip-05", 0, 256)}
    ids = [name.decode() for name in left.clip_id.tolist()]
    frames = zip(left.start_frame.tolist(), left.end_frame.tolist(), strict=True)
    assert len(ids) == 38
    assert {(name, *pair) for name, pair in zip(ids, frames, strict=True)} == expected
    assert _without_planned(Rows.of([], []), iter(plans)).clip_id.tolist() == []
    assert np.array_equal(_without_planned(rows, iter([])).clip_id, rows.clip_id)
