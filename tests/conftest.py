"""Fixtures that many tests share."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from make_video import VideoSpec, make_video
from store_servers import GcsServer, S3Server, running_gcs, running_s3


@pytest.fixture(autouse=True)
def log_level() -> Iterator[None]:
    """Undo what ``--verbose`` does to the logs of this process."""
    root = logging.getLogger()
    level = root.level
    yield
    root.setLevel(level)


@pytest.fixture(scope="session")
def real_videos() -> Path:
    """Return the folder of real videos named by ``BEAM_CURATE_TEST_VIDEOS``.

    Without it the test is skipped, or fails when ``REQUIRE_VIDEOS=1`` says that it must run.
    """
    named = os.environ.get("BEAM_CURATE_TEST_VIDEOS", "")
    if named and Path(named).is_dir():
        return Path(named)
    problem = f"BEAM_CURATE_TEST_VIDEOS must name the folder of real videos, got {named!r}"
    if os.environ.get("REQUIRE_VIDEOS") == "1":
        pytest.fail(problem)
    pytest.skip(problem)


@pytest.fixture(scope="session")
def made_video(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, VideoSpec], Path]:
    """Return a function that makes a video once per session: ``made_video("a.mp4", spec)``.

    The same name with the same spec gives the same file; nobody may write to it.
    """
    folder = tmp_path_factory.mktemp("made_videos")
    made: dict[tuple[str, VideoSpec], Path] = {}

    def make(name: str, spec: VideoSpec) -> Path:
        key = (name, spec)
        if key not in made:
            own = folder / f"{len(made):03d}"
            own.mkdir()
            made[key] = make_video(own / name, spec)
        return made[key]

    return make


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """Run an S3 server for the session; each test makes buckets of its own."""
    with running_s3(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture(scope="session")
def gcs_server() -> Iterator[GcsServer]:
    """Run a GCS server for the session; each test makes buckets of its own."""
    with running_gcs() as server:
        yield server


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function that gives the folder of a tiny model; its kinds: ``tiny_models.TINY``.

    Each is made once per session; nobody may write to it. Needs torch.
    """
    folder = tmp_path_factory.mktemp("tiny_models")
    made: dict[str, Path] = {}

    def make(kind: str) -> Path:
        if kind not in made:
            from tiny_models import TINY

            made[kind] = TINY[kind](folder / kind)
        return made[kind]

    return make
