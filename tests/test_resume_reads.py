"""A run that goes on reads little of what is finished."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from kill_harness import MULTI, Scene
from make_video import VideoSpec, make_video

MOST_READS = 3
"""Of a finished chunk: its record and all that belongs to its clips, together."""
NUM_CHUNKS = {"a.mp4": 3, "b.mp4": 4, "c.mp4": 1}


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of videos that are cut from their first to their last chunk."""
    folder = tmp_path_factory.mktemp("resume_reads") / "raw"
    folder.mkdir()
    for name, num_chunks in NUM_CHUNKS.items():
        spec = VideoSpec(seconds=8 * num_chunks, size=(64, 64), keyframe_every=0)
        make_video(folder / name, spec)
    return folder


def finished_chunks(scene: Scene) -> list[str]:
    folder = scene.curated.out / "processed_clip_chunks"
    return sorted(path.name.removesuffix(".json") for path in folder.glob("*.json"))


def one_finished_one_open(scene: Scene) -> bool:
    """Return whether one video is finished and another one open with a finished chunk."""
    done = Counter(chunk.rpartition("_")[0] for chunk in finished_chunks(scene))
    is_whole = {done[name] == NUM_CHUNKS[name] for name in done}
    return is_whole == {True, False}


def reads_per_chunk(scene: Scene, chunks: list[str], opened: Counter[str]) -> dict[str, int]:
    """Return how many files of each chunk were read, each counted as often as it was."""
    found = {}
    for chunk in chunks:
        rel = f"processed_clip_chunks/{chunk}.json"
        record = scene.curated.read(rel)
        clips = [*record["clips"], *record["filtered_clips"]]
        of_clips = [name for name in opened if any(clip in name for clip in clips)]
        found[chunk] = opened[rel] + sum(opened[name] for name in of_clips)
    return found


@pytest.mark.parametrize("mode", [(), MULTI], ids=["in_memory", "multi_processing"])
def test_a_resume_reads_at_most_three_files_per_finished_chunk(
    mode: tuple[str, ...], raw: Path, tmp_path: Path
) -> None:
    scene = Scene(tmp_path / "scene", raw, "split")
    scene.kill_when(lambda: one_finished_one_open(scene))
    chunks, before = finished_chunks(scene), scene.opened()
    assert len(chunks) < sum(NUM_CHUNKS.values())
    # With all that a run does if it is not told to leave it: also the prediction.
    ended = scene.run("--predict", *mode)
    assert ended.status == 0, ended.err
    reads = reads_per_chunk(scene, chunks, scene.opened() - before)
    # Each is read for the ledger, or nothing was seen.
    assert all(1 <= number <= MOST_READS for number in reads.values()), reads

    chunks, before = finished_chunks(scene), scene.opened()
    assert len(chunks) == sum(NUM_CHUNKS.values())
    ended = scene.run("--predict")
    assert "nothing was left to do" in ended.out
    reads = reads_per_chunk(scene, chunks, scene.opened() - before)
    assert all(1 <= number <= MOST_READS for number in reads.values()), reads
