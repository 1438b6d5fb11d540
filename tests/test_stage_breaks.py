"""Which stages share a worker: Beam's own optimiser fuses the real graph of ``curate``."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import fn_runner

from beam_pipeline import pipelines
from beam_pipeline.configuration.config import CurateConfig, load_config
from beam_pipeline.preparation.prepare import prepare_shard, prepare_split
from beam_pipeline.preparation.run_place import RunPlace
from transforms.annotate.embedding_settings import EmbedderSpec, EmbeddingSettings
from transforms.filters.motion import FilterMotion
from transforms.media.look_settings import FrameSettings

Build = Callable[[Any], object]


@pytest.fixture
def build(tmp_path: Path) -> Build:
    """Return a function that attaches the graph of curate with everything built turned on."""
    return build_with(tmp_path, "fixed-stride")


@pytest.fixture
def build_shots(tmp_path: Path) -> Build:
    """Return the same with detection of shots."""
    return build_with(tmp_path, "content")


def build_with(
    tmp_path: Path, algorithm: str, embeddings: EmbeddingSettings | None = None
) -> Build:
    config = load_config(
        "curate",
        {
            "input_video_path": str(tmp_path / "raw"),
            "output_clip_path": str(tmp_path / "out"),
            "splitting_algorithm": algorithm,
            "motion_filter": "enable",
            "generate_previews": True,
        },
        {},
    )
    assert isinstance(config, CurateConfig)
    split = prepare_split(config, RunPlace.here(tmp_path), {})
    if embeddings is not None:
        split = dataclasses.replace(split, embeddings=embeddings)
    shard = prepare_shard(config, RunPlace.here(tmp_path))
    return lambda root: pipelines.curate(root, config, split, shard)


def fused_stages(build: Build) -> list[str]:
    """Return the names of the steps in each stage that the runner would execute, one text each."""
    pipeline = beam.Pipeline(options=PipelineOptions(["--runner=FnApiRunner"]))
    build(pipeline)
    runner = fn_runner.FnApiRunner()
    _, stages = runner.create_stages(pipeline.to_runner_api(default_environment=None))
    return [" ".join(transform.unique_name for transform in stage.transforms) for stage in stages]


def stage_of(step: str, stages: list[str]) -> int:
    (number,) = [i for i, names in enumerate(stages) if f"{step}/" in names]
    return number


def test_a_clip_is_cut_filtered_and_written_in_one_stage(build: Build) -> None:
    stages = fused_stages(build)
    assert stage_of("CutChunks", stages) == stage_of("WriteClips", stages)
    assert "FilterMotion" in stages[stage_of("CutChunks", stages)]


def test_embedding_adds_no_break(tmp_path: Path) -> None:
    embedder = EmbedderSpec("siglip2", "tiny", "1", folder=str(tmp_path))
    embeddings = EmbeddingSettings(embedder, 8, FrameSettings())
    stages = fused_stages(build_with(tmp_path, "fixed-stride", embeddings))
    steps = ("EmbedClips/RunInference", "FilterMotion", "WriteClips")
    assert all(step in stages[stage_of("CutChunks", stages)] for step in steps)


def test_videos_spread_before_they_are_probed_and_runs_before_they_are_cut(build: Build) -> None:
    stages = fused_stages(build)
    assert stage_of("ProbeVideos", stages) == stage_of("PlanChunks", stages)
    in_order = ("ListVideos", "PlanChunks", "CutChunks")
    assert len({stage_of(step, stages) for step in in_order}) == 3


def test_detecting_shots_adds_two_breaks_and_none_behind_the_plan(
    build: Build, build_shots: Build
) -> None:
    stages = fused_stages(build_shots)
    assert stage_of("CutChunks", stages) == stage_of("WriteClips", stages)
    assert stage_of("DetectShots/DecodeSegments", stages) == stage_of(
        "DetectShots/StoreScores", stages
    )
    in_order = (
        "ListVideos",
        "ProbeVideos",
        "DetectShots/DecodeSegments",
        "PlanChunks",
        "CutChunks",
    )
    assert len({stage_of(step, stages) for step in in_order}) == 5
    assert stage_of("DetectShots/PlanSegments", stages) == stage_of("ProbeVideos", stages)


def test_a_reshuffle_between_cut_and_write_is_noticed(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    expand = FilterMotion.expand
    monkeypatch.setattr(
        FilterMotion, "expand", lambda self, clips: expand(self, clips) | beam.Reshuffle()
    )
    stages = fused_stages(build)
    assert stage_of("CutChunks", stages) != stage_of("WriteClips", stages)
