"""Fixtures that many tests share."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from make_video import VideoSpec, make_video


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
