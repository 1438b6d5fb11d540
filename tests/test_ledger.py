"""What was planned is committed or failed; what is not is named, and broken fusion is repaired."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from make_video import VideoSpec, make_video
from run_command import Curated

from beam_pipeline.configuration.config import SplitConfig, load_config
from beam_pipeline.preparation.prepare import prepare_split
from beam_pipeline.preparation.run_place import RunPlace
from transforms.clips.finish_chunks import finish_chunk
from transforms.clips.finish_run import raise_if_false
from transforms.clips.ledger import read_ledger
from transforms.clips.selections import all_selected_videos
from transforms.errors import LedgerError
from transforms.layout import chunk_record_uri, plan_uri
from transforms.records import video_uuid
from transforms.run_context import RunContext

OPTIONS = {
    "splitting_algorithm": "fixed-stride",
    "fixed_stride_split_duration": 2,
    "clip_re_chunk_size": 1,
}
REL = "a.mp4"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Curated:
    """Return a finished run of one video of two chunks; nobody may change it."""
    folder = tmp_path_factory.mktemp("ledger")
    (folder / "raw").mkdir()
    make_video(folder / "raw" / REL, VideoSpec(seconds=12, size=(64, 64), keyframe_every=25))
    run = Curated.below(folder, folder / "raw")
    options = [word for name, value in OPTIONS.items() for word in (f"--{name}", str(value))]
    assert run.curate(*options) == 0
    return run


@pytest.fixture
def run(finished: Curated, tmp_path: Path) -> Curated:
    """Return a copy of the output to damage."""
    shutil.copytree(finished.out, tmp_path / "processed")
    return Curated(finished.raw, tmp_path / "processed", finished.dataset)


def missing(run: Curated) -> list[str]:
    return read_ledger(str(run.out), all_selected_videos(str(run.out))).missing


def context_of(run: Curated, scratch: Path) -> RunContext:
    paths = {"input_video_path": str(run.raw), "output_clip_path": str(run.out)}
    config = load_config("split", {**paths, **OPTIONS}, {})
    assert isinstance(config, SplitConfig)
    return prepare_split(config, RunPlace.here(scratch), {}).context


def test_a_finished_run_misses_nothing(run: Curated) -> None:
    ledger = read_ledger(str(run.out), all_selected_videos(str(run.out)))
    assert (ledger.num_videos, ledger.num_clips_planned, ledger.num_clips_kept) == (1, 6, 6)
    assert ledger.missing == []
    raise_if_false(ledger)


def test_a_lost_chunk_record_is_named(run: Curated) -> None:
    Path(chunk_record_uri(str(run.out), REL, 1)).unlink()
    assert missing(run) == [f"{REL}#1"]


def test_a_lost_plan_or_video_record_is_named(run: Curated) -> None:
    (run.out / "processed_videos" / f"{REL}.json").unlink()
    assert missing(run) == [REL]
    identity = video_uuid(str(run.raw / REL))
    Path(plan_uri(str(run.out), identity)).unlink()
    assert missing(run) == [REL]


def test_a_clip_that_no_record_knows_is_named(run: Curated) -> None:
    path = Path(chunk_record_uri(str(run.out), REL, 0))
    record = json.loads(path.read_text())
    lost = record["clips"].pop(1)
    path.write_text(json.dumps(record))
    ledger = read_ledger(str(run.out), all_selected_videos(str(run.out)))
    assert ledger.missing == [lost]
    with pytest.raises(LedgerError, match=f"1 of what was planned.*{lost}"):
        raise_if_false(ledger)


def test_a_chunk_left_open_is_repaired_from_what_is_committed(run: Curated, tmp_path: Path) -> None:
    path = Path(chunk_record_uri(str(run.out), REL, 1))
    expected = path.read_bytes()
    path.unlink()
    key = (plan_uri(str(run.out), video_uuid(str(run.raw / REL))), 1)
    assert finish_chunk(key, context_of(run, tmp_path)) == 1
    assert path.read_bytes() == expected


def test_a_chunk_with_an_uncommitted_clip_stays_open(run: Curated, tmp_path: Path) -> None:
    path = Path(chunk_record_uri(str(run.out), REL, 1))
    clip_id = json.loads(path.read_text())["clips"][0]
    path.unlink()
    (run.out / "metas" / "v0" / f"{clip_id}.json").unlink()
    key = (plan_uri(str(run.out), video_uuid(str(run.raw / REL))), 1)
    assert finish_chunk(key, context_of(run, tmp_path)) == 0
    assert not path.exists()
