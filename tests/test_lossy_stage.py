"""A stage that loses elements, put behind each stage of the real graph: the run says what it lost.

Runners have lost elements and said that they were done. A step that drops some of what it gets is
attached behind each stage in turn; the run must end non-zero and name the ids, and the same command
without that step must complete to the bytes of a run that lost nothing.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from independent_ledger import check
from make_video import VideoSpec, make_video
from run_command import Curated

from transforms.clips.cut_chunks import CutChunks
from transforms.clips.finish_run import FinishRun
from transforms.clips.plan_chunks import PlanChunks
from transforms.filters.motion import FilterMotion
from transforms.ingest.probe_videos import ProbeVideos
from transforms.ingest.select_videos import ListVideos
from transforms.shards import read_rows, shard_clips
from transforms.shards.read_rows import ClipBatch, RowsFile, load_rows
from transforms.shards.shard_samples import ShardSample
from transforms.shards.write_shards import WrittenShard
from transforms.shots.fixed_stride import SplitFixedStride

OPTIONS = (
    *(
        "--splitting_algorithm",
        "fixed-stride",
        "--fixed_stride_split_duration",
        "2",
        "--clip_re_chunk_size",
        "1",
    ),
    *("--captioning_window_size", "4", "--captioning_remainder_threshold", "2"),
)
LOST = "b.mp4"
"""The video that something is lost of."""
BATCH = 4
"""Clips that are read together."""


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return two videos; one has two chunks, and every clip has three windows."""
    folder = tmp_path_factory.mktemp("lossy") / "raw"
    folder.mkdir()
    for name, seconds in (("a.mp4", 4), (LOST, 12)):
        spec = VideoSpec(seconds=seconds, size=(64, 64), fps=Fraction(5), keyframe_every=5)
        make_video(folder / name, spec)
    return folder


@pytest.fixture(scope="module")
def whole(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> Curated:
    """Return a run that lost nothing."""
    run = Curated.below(tmp_path_factory.mktemp("whole"), raw)
    assert run.curate(*OPTIONS) == 0
    return run


@dataclass
class Lossy(beam.PTransform):
    """Drops the elements for which ``loses`` is true, or all but what a runner cannot lose."""

    loses: Callable[[Any], bool]

    def expand(self, elements: beam.PCollection[Any]) -> beam.PCollection[Any]:
        return elements | beam.Filter(lambda element, loses: not loses(element), self.loses)


def attach(monkeypatch: pytest.MonkeyPatch, stage: Any, loses: Callable[[Any], bool]) -> None:
    """Put the lossy step behind a stage."""
    expand = stage.expand
    monkeypatch.setattr(stage, "expand", lambda self, before: expand(self, before) | Lossy(loses))


def is_of_lost_video(element: Any) -> bool:
    video = getattr(element, "video", element)
    return bool(video.rel == LOST)


def is_clip(clip_id: str, element: Any) -> bool:
    return bool(element.clip_id == clip_id)


def anything(_: Any) -> bool:
    return True


def clips_of(run: Curated, rel: str) -> list[str]:
    """Return the clips of a video in its order."""
    metas = [meta for meta in run.metas().values() if meta["source_video"].endswith(rel)]
    return [meta["span_uuid"] for meta in sorted(metas, key=lambda meta: meta["duration_span"][0])]


def run_and_lose(run: Curated, ids: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Run; assert that it ends with status 1, naming all ids and nothing that was not lost."""
    capsys.readouterr()
    assert run.curate(*OPTIONS) == 1
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert [name for name in ids if name not in said] == [], said


def complete(run: Curated, whole: Curated, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the same command without the lossy step; assert the bytes of a run that lost nothing."""
    monkeypatch.undo()
    assert run.curate(*OPTIONS) == 0
    assert run.trees() == whole.trees()
    assert check(run.out, run.dataset) == []


@pytest.mark.parametrize("stage", [ListVideos, ProbeVideos, SplitFixedStride])
@pytest.mark.parametrize("loses", [is_of_lost_video, anything])
def test_videos_lost_before_the_plan(
    stage: type,
    loses: Callable[[Any], bool],
    whole: Curated,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = Curated.below(tmp_path, whole.raw)
    attach(monkeypatch, stage, loses)
    lost = [LOST] if loses is is_of_lost_video else ["a.mp4", LOST]
    run_and_lose(run, [f"{len(lost)} of what was planned", *lost], capsys)
    complete(run, whole, monkeypatch)


@pytest.mark.parametrize("loses", [is_of_lost_video, anything])
def test_runs_lost_behind_the_plan(
    loses: Callable[[Any], bool],
    whole: Curated,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = Curated.below(tmp_path, whole.raw)
    attach(monkeypatch, PlanChunks, loses)
    rels = [LOST] if loses is is_of_lost_video else ["a.mp4", LOST]
    run_and_lose(run, [clip for rel in rels for clip in clips_of(whole, rel)], capsys)
    complete(run, whole, monkeypatch)


@pytest.mark.parametrize(
    ("stage", "how_many"),
    [(CutChunks, "first"), (CutChunks, "all"), (FilterMotion, "last"), (FilterMotion, "all")],
)
def test_clips_lost_behind_the_cut(
    stage: type,
    how_many: str,
    whole: Curated,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = Curated.below(tmp_path, whole.raw)
    clips = clips_of(whole, LOST)
    one = {"first": clips[0], "last": clips[-1]}.get(how_many)
    attach(monkeypatch, stage, functools.partial(is_clip, one) if one else anything)
    run_and_lose(run, [one] if one else sorted(whole.metas()), capsys)
    assert sorted(run.metas()) == [clip for clip in sorted(whole.metas()) if one and clip != one]
    complete(run, whole, monkeypatch)


def test_the_signal_between_split_and_shard_lost(
    whole: Curated,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = Curated.below(tmp_path, whole.raw)
    attach(monkeypatch, FinishRun, anything)
    run_and_lose(run, sorted(whole.metas()), capsys)
    complete(run, whole, monkeypatch)


class LossyBeam:
    """Beam, but what a grouping or a reshuffle of the shard half gets has gone through a loss."""

    def __init__(self, loses: Callable[[Any], bool]) -> None:
        self._loses = loses

    def __getattr__(self, name: str) -> Any:
        return getattr(beam, name)

    def GroupByKey(self) -> beam.PTransform:
        return LossyBefore(self._loses, beam.GroupByKey)

    def Reshuffle(self) -> beam.PTransform:
        return LossyBefore(self._loses, beam.Reshuffle)


@dataclass
class LossyBefore(beam.PTransform):
    """A step of Beam behind a lossy one."""

    loses: Callable[[Any], bool]
    step: type[beam.PTransform]

    def expand(self, elements: beam.PCollection[Any]) -> beam.PCollection[Any]:
        return elements | Lossy(self.loses) | self.step()


def is_batch(clip_id: str | None, element: Any) -> bool:
    """Return whether this is the batch of a clip, or any batch."""
    batch = isinstance(element, ClipBatch)
    return batch and (clip_id is None or clip_id in element.clip_ids)


def is_rows(clip_id: str | None, element: Any) -> bool:
    """Return whether these are the rows of a clip, on their way to the planner, or any rows."""
    rows = element[1] if isinstance(element, tuple) else None
    if not isinstance(rows, RowsFile):
        return False
    return clip_id is None or clip_id in load_rows(rows.uri).clips()


def is_sample(clip_id: str, first: int, element: Any) -> bool:
    """Return whether this is one sample on its way to its shard."""
    sample = element[1] if isinstance(element, tuple) else None
    return isinstance(sample, ShardSample) and (sample.clip_id, sample.start_frame) == (
        clip_id,
        first,
    )


def is_of_bin(bin_name: str | None, element: Any) -> bool:
    """Return whether this belongs to a shard of a bin, or to any (the closing element too)."""
    key = element[0] if isinstance(element, tuple) else None
    return isinstance(key, tuple) and (bin_name is None or key[2] == bin_name)


def is_written(_: None, element: Any) -> bool:
    """Return whether this is a shard's writer saying that it is done."""
    return isinstance(element, tuple) and isinstance(element[1], WrittenShard)


def batch_mates(whole: Curated, clip_id: str) -> list[str]:
    """Return the clips that are read together with this one."""
    clips = sorted(whole.metas())
    first = clips.index(clip_id) // BATCH * BATCH
    return clips[first : first + BATCH]


@pytest.mark.parametrize("is_it", [is_batch, is_rows])
@pytest.mark.parametrize("how_many", ["one", "all"])
def test_rows_lost_before_the_shard_plan(
    is_it: Callable[[str | None, Any], bool],
    how_many: str,
    whole: Curated,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = Curated.below(tmp_path, whole.raw)
    clip_id = clips_of(whole, LOST)[2]
    monkeypatch.setattr(read_rows, "BATCH_SIZE", BATCH)
    loses = functools.partial(is_it, clip_id if how_many == "one" else None)
    monkeypatch.setattr(shard_clips, "beam", LossyBeam(loses))
    lost = batch_mates(whole, clip_id) if how_many == "one" else sorted(whole.metas())
    run_and_lose(run, [f"{len(lost)} are", *lost], capsys)
    assert not list(run.dataset.rglob("*.tar"))
    complete(run, whole, monkeypatch)


@pytest.mark.parametrize("which", ["one sample", "one bin", "all"])
def test_samples_lost_behind_the_shard_plan(
    which: str,
    whole: Curated,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = Curated.below(tmp_path, whole.raw)
    clip_id = clips_of(whole, LOST)[2]
    bins = sorted(path.parents[2].name for path in whole.dataset.rglob("video/*/000000.tar"))
    assert bins == ["frames_0_3", "frames_4_7", "frames_8_11"]
    loses, named = {
        "one sample": (functools.partial(is_sample, clip_id, 4), [f"{clip_id}_4_7"]),
        "one bin": (functools.partial(is_of_bin, bins[0]), [f"{bins[0]}: shard part_000000/000"]),
        "all": (functools.partial(is_of_bin, None), [f"{name}/part_000000/0" for name in bins]),
    }[which]
    monkeypatch.setattr(shard_clips, "beam", LossyBeam(loses))
    run_and_lose(run, named, capsys)
    complete(run, whole, monkeypatch)


def test_word_of_written_shards_lost(
    whole: Curated,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = Curated.below(tmp_path, whole.raw)
    monkeypatch.setattr(shard_clips, "beam", LossyBeam(functools.partial(is_written, None)))
    run_and_lose(run, ["end was not reached"], capsys)
    # The shards are there; what describes them is not.
    assert len(list(run.dataset.rglob("*.tar"))) == 6
    assert not list(run.dataset.rglob("wdinfo.json"))
    complete(run, whole, monkeypatch)
