"""What workers on other machines are told to look at before they start: the inputs of the run."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from store_servers import OWNER, S3Server, profiles_file

from beam_pipeline.configuration.config import load_config
from beam_pipeline.preparation.run_place import RunPlace
from beam_pipeline.run import visible_inputs


@pytest.fixture
def elsewhere(tmp_path: Path) -> RunPlace:
    """Return the place of a run whose workers are on other machines."""
    return RunPlace(tmp_path / "scratch", str(tmp_path / "out" / "running"))


def _found(pipeline: str, place: RunPlace, **options: Any) -> list[str]:
    return visible_inputs(load_config(pipeline, {}, options), place)


def test_videos_and_clips_in_folders(tmp_path: Path, elsewhere: RunPlace) -> None:
    raw, clips = (tmp_path / name for name in ("raw", "clips"))
    raw.mkdir()
    clips.mkdir()
    split = {"input_video_path": str(raw), "output_clip_path": str(tmp_path / "out")}
    assert _found("split", elsewhere, **split) == [str(raw)]
    shard = {"input_clip_path": str(clips), "output_dataset_path": str(tmp_path / "dataset")}
    assert _found("shard", elsewhere, **shard) == [str(clips)]
    raw.rmdir()
    assert _found("split", elsewhere, **split) == [], "all may be cut from it"


def test_nothing_where_all_is_on_this_machine(tmp_path: Path) -> None:
    split = {"input_video_path": str(tmp_path), "output_clip_path": str(tmp_path / "out")}
    place = dataclasses.replace(RunPlace.here(tmp_path / "scratch"), workers=2)
    assert _found("split", place, **split) == []


@pytest.mark.store
def test_videos_and_clips_in_stores(
    s3_server: S3Server, elsewhere: RunPlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = profiles_file(tmp_path / "profiles", {"default": (OWNER, s3_server.address)})
    monkeypatch.setenv("COSMOS_S3_PROFILE_PATH", str(path))
    bucket = s3_server.new_bucket()
    s3_server.client().put_object(Bucket=bucket, Key="raw/a.mp4", Body=b"0")
    raw, out = f"s3://{bucket}/raw", f"s3://{bucket}/out"
    assert _found("split", elsewhere, input_video_path=raw, output_clip_path=out) == [raw]
    assert _found("shard", elsewhere, input_clip_path=raw, output_dataset_path=out) == [raw]
    assert _found("split", elsewhere, input_video_path=f"{raw}s", output_clip_path=out) == []
