"""A bundle that a runner replays, or that an error ends, leaves what one clean run leaves."""

from __future__ import annotations

import fnmatch
import json
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from make_video import VideoSpec, make_video
from replay import STEPS, run_twice, snapshot
from run_command import Curated

from beam_pipeline import pipelines
from beam_pipeline.configuration.config import CurateConfig, load_config
from beam_pipeline.preparation.prepare import PreparedSplit, prepare_split
from beam_pipeline.preparation.run_place import RunPlace
from transforms.clips.cut_chunks import _CutRuns
from transforms.clips.finish_chunks import finish_chunk
from transforms.clips.write_clips import _WriteClips
from transforms.filters.motion import FilterMotion
from transforms.layout import plan_uri
from transforms.records import Clip, CutRun, video_uuid

OPTIONS = {
    "splitting_algorithm": "fixed-stride",
    "fixed_stride_split_duration": 2,
    "fixed_stride_min_clip_length_s": 1,
    "clip_re_chunk_size": 1,
    "motion_filter": "enable",
    "generate_previews": True,
}
WORDS = tuple(
    word
    for name, value in OPTIONS.items()
    for word in ([f"--{name}"] if value is True else [f"--{name}", str(value)])
)
REWRITTEN = ("*/runs/current.json", "*/rows*", "*/dataset.json")
"""Written again with the same bytes; everything else is not touched the second time."""


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return two videos, one of them of several chunks, one that is too short, and no video."""
    folder = tmp_path_factory.mktemp("replayed") / "raw"
    folder.mkdir()
    make_video(folder / "a.mp4", VideoSpec(seconds=12, size=(64, 64), keyframe_every=25))
    make_video(folder / "b.mp4", VideoSpec(seconds=4, size=(320, 256)))
    make_video(folder / "short.mp4", VideoSpec(seconds=0.6, size=(64, 64)))
    (folder / "text.mp4").write_text("this is no video")
    return folder


@pytest.fixture(scope="module")
def done(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> Curated:
    """Return a clean run; nobody may change it."""
    run = Curated.below(tmp_path_factory.mktemp("clean"), raw)
    assert run.curate(*WORDS) == 1, "one of four videos fails"
    return run


def test_every_step_may_run_twice(
    done: Curated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Curated.below(tmp_path, done.raw)
    log = tmp_path / "log"
    curate = pipelines.curate

    def twice(root: beam.Pipeline, *arguments: Any) -> Any:
        result = curate(root, *arguments)
        run_twice(root, [run.out, run.dataset], log)
        return result

    monkeypatch.setattr(pipelines, "curate", twice)
    assert run.curate(*WORDS) == 1
    steps = [json.loads(line) for line in log.read_text().splitlines()]
    for step in steps:
        assert step["came_or_went"] == step["changed"] == [], step
        touched = [path for path in step["rewritten"] if not _matches(path)]
        assert touched == [], step
    worked = {step["step"] for step in steps if step["num_elements"]}
    unused = {label for label in STEPS if not any(step.startswith(label) for step in worked)}
    assert unused == {"FinishChunks/Map"}, "nothing was left open"
    assert run.trees() == done.trees()


def _matches(path: str) -> bool:
    return any(fnmatch.fnmatch(path, pattern) for pattern in REWRITTEN)


def test_an_error_behind_the_cut_leaves_no_child_and_no_other_trace(
    done: Curated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Curated.below(tmp_path, done.raw)

    class FailAtThird(FilterMotion):
        """Filters as ever: what is committed before the error must be what it should be."""

        def expand(self, clips: beam.PCollection[Clip]) -> beam.PCollection[Clip]:
            return super().expand(clips) | "RaiseAtThird" >> beam.Map(_raise_at, 2)

    with monkeypatch.context() as patched:
        patched.setattr(pipelines, "FilterMotion", FailAtThird)
        with pytest.raises(ValueError, match="raised behind the cut"):
            run.curate(*WORDS)
    assert children_after_a_while() == set()
    assert run.curate(*WORDS) == 1
    assert children_after_a_while() == set()
    assert run.trees() == done.trees()


def _raise_at(clip: Clip, clip_index: int) -> Clip:
    if clip.clip_index == clip_index:
        raise ValueError("raised behind the cut")
    return clip


def children() -> set[int]:
    """Return the decoding processes that this process has started."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
            command = (folder / "cmdline").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(parent) == os.getpid() and state != "Z" and "transforms.media.child" in command:
            found.add(int(folder.name))
    return found


def children_after_a_while() -> set[int]:
    """Return the children that are still there when there was time to end them.

    After an error the runner tears its steps down in a thread of its own.
    """
    deadline = time.monotonic() + 20
    while (left := children()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


class TestCutAfterAnError:
    """The steps themselves, as a worker holds them, when a bundle ends in the middle."""

    @pytest.fixture
    def prepared(self, raw: Path, done: Curated, tmp_path: Path) -> PreparedSplit:
        """Return a run into an output where only plans are left."""
        out = tmp_path / "out"
        for plan in (done.out / ".work" / "plans").iterdir():
            target = out / ".work" / "plans" / plan.name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(plan.read_bytes())
        paths = {"input_video_path": str(raw), "output_clip_path": str(out)}
        config = load_config("curate", {**paths, **OPTIONS}, {})
        assert isinstance(config, CurateConfig)
        prepared = prepare_split(config, RunPlace.here(tmp_path / "s"), {})
        # Without a run there is no lease to renew.
        return replace(prepared, context=replace(prepared.context, run_id=""))

    @pytest.mark.parametrize("is_torn_down", [True, False])
    def test_the_next_bundle_gets_its_own_clips(
        self, prepared: PreparedSplit, raw: Path, is_torn_down: bool
    ) -> None:
        cut = _CutRuns(prepared.cut, prepared.context)
        cut.start_bundle()
        # Nobody takes the clips: the step behind has raised.
        list(cut.process(self.run_of("a.mp4", raw, prepared)))
        made = list(self.wait_for_clips(Path(prepared.context.scratch)))
        first = children()
        assert first
        assert made
        if is_torn_down:
            cut.teardown()
            assert children() == set()
        cut.start_bundle()
        assert not children() & first
        clips = self.finished(cut, self.run_of("b.mp4", raw, prepared))
        assert [(clip.rel, clip.clip_index, clip.outcome) for clip in clips] == [
            ("b.mp4", 0, "pending"),
            ("b.mp4", 1, "pending"),
        ]
        cut.teardown()
        assert children() == set()

    @pytest.mark.parametrize("is_replayed", [True, False])
    def test_a_chunk_is_not_counted_from_two_bundles(
        self, prepared: PreparedSplit, raw: Path, is_replayed: bool
    ) -> None:
        cut = _CutRuns(prepared.cut, prepared.context)
        cut.start_bundle()
        clips = self.finished(cut, self.run_of("b.mp4", raw, prepared))
        cut.teardown()
        write = _WriteClips(prepared.context)
        write.start_bundle()
        write.process(clips[0])
        write.start_bundle()
        write.process(clips[1])
        [left_open] = write.finish_bundle()
        assert left_open.value == (clips[0].plan_uri, 0)
        out = Path(prepared.context.root)
        record = out / "processed_clip_chunks" / "b.mp4_0.json"
        assert not record.exists()
        before = snapshot([out])
        if is_replayed:
            # What is committed is found, without a child, and the chunk is whole.
            cut.start_bundle()
            again = self.finished(cut, self.run_of("b.mp4", raw, prepared))
            assert [clip.outcome for clip in again] == ["committed", "committed"]
            write.start_bundle()
            for clip in again:
                write.process(clip)
            assert list(write.finish_bundle()) == []
        else:
            assert finish_chunk(left_open.value, prepared.context) == 1
        after = snapshot([out])
        assert {path: after[path] for path in before} == before
        assert json.loads(record.read_text())["num_clips_transcoded"] == 2
        assert finish_chunk(left_open.value, prepared.context) == 1
        assert snapshot([out]) == after

    @staticmethod
    def wait_for_clips(scratch: Path) -> Iterator[Path]:
        """Yield the finished clips as soon as there are any."""
        deadline = time.monotonic() + 30
        while not (found := list(scratch.glob("worker-*/clips/*/*.mp4"))):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        yield from found

    @staticmethod
    def run_of(rel: str, raw: Path, prepared: PreparedSplit) -> CutRun:
        uri = plan_uri(prepared.context.root, video_uuid(str(raw / rel)))
        return CutRun(plan_uri=uri, rel=rel, run_index=0, source_uri=str(raw / rel))

    @staticmethod
    def finished(cut: _CutRuns, run: CutRun) -> list[Clip]:
        def bundle() -> Iterator[Clip]:
            yield from cut.process(run)
            for found in cut.finish_bundle():
                yield found.value

        return list(bundle())
