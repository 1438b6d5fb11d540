"""``--runner=PortableRunner`` and ``PrismRunner``: other engines, the same bytes, clear ends."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from make_video import VideoSpec, make_video
from process_list import assert_gone, processes
from run_command import Curated
from wrong_use import environment, split, use

from runners import portable, prism
from runners.chosen import chosen
from transforms.errors import CurateError, PreflightError
from transforms.faults import FAULT_VARIABLE
from transforms.records import video_uuid

CUT = ("--fixed_stride_split_duration", "1", "--fixed_stride_min_clip_length_s", "0.5")
RUNNERS = ("PortableRunner", "PrismRunner")


@pytest.fixture
def prism_is_there() -> None:
    """Skip where there is no Prism, unless ``REQUIRE_PRISM=1`` says that there must be."""
    try:
        prism.binary([])
    except PreflightError as error:
        if os.environ.get("REQUIRE_PRISM") == "1":
            pytest.fail(str(error))
        pytest.skip(str(error))


@pytest.fixture
def flags(request: pytest.FixtureRequest) -> list[str]:
    """Return the flags that choose the runner of this test."""
    if request.param == "PrismRunner":
        request.getfixturevalue("prism_is_there")
    return [f"--runner={request.param}"]


both = pytest.mark.parametrize("flags", RUNNERS, indirect=True)


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("portable") / "raw"
    (folder / "sub").mkdir(parents=True)
    make_video(folder / "a.mp4", VideoSpec(seconds=3, audio="aac"))
    make_video(folder / "sub" / "b.mp4", VideoSpec(seconds=2))
    (folder / "text.mp4").write_text("no video")
    return folder


@pytest.fixture(scope="module")
def local(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> Curated:
    run = Curated.below(tmp_path_factory.mktemp("local"), raw)
    assert run.curate(*CUT, "--max_failed_share", "0.5") == 3
    return run


@both
def test_the_bytes_are_those_of_a_local_run(
    flags: list[str],
    raw: Path,
    local: Curated,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = Curated.below(tmp_path, raw)
    capsys.readouterr()
    assert run.curate(*CUT, "--max_failed_share", "0.5", *flags) == 3
    told = capsys.readouterr()
    assert "clips     5 kept, 0 rejected, 0 failed" in told.out
    assert "first     clip after" in told.out
    assert "Traceback" not in told.err
    assert run.trees() == local.trees()


def fail(number: int) -> int:
    raise CurateError(f"the number {number} is wrong")


def crash(number: int) -> int:
    raise ZeroDivisionError(f"the number {number}")


def graph(step: Callable[[int], int]) -> Callable[[Any], None]:
    def build(root: Any) -> None:
        _ = root | beam.Create([7]) | beam.Reshuffle() | "Step" >> beam.Map(step)

    return build


@both
def test_an_error_of_a_step_comes_out_as_it_was_raised(flags: list[str]) -> None:
    runner = chosen(flags)
    runner.prepare(flags)
    with pytest.raises(CurateError, match=r"^the number 7 is wrong$"):
        runner.run(graph(fail), flags)
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        runner.run(graph(crash), flags)


@both
def test_ctrl_c_ends_the_run_and_all_it_started(
    flags: list[str], raw: Path, tmp_path: Path
) -> None:
    scratch = tmp_path / "scratch"
    hang = f"hang:{video_uuid(str(raw / 'a.mp4'))}"
    command = [*split(raw, tmp_path / "out"), f"--scratch_path={scratch}", *flags]
    process = subprocess.Popen(
        [sys.executable, "-m", "beam_pipeline", *map(str, command)],
        env=environment({FAULT_VARIABLE: hang}),
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        cwd=tmp_path,
    )
    try:
        while not any(one.is_child for one in processes(process.pid, scratch)):
            assert process.poll() is None
        os.kill(process.pid, signal.SIGINT)
        _, told = process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    assert process.returncode == 130, told
    assert "Traceback" not in told
    assert_gone(process.pid, scratch)


def test_no_prism_is_one_clear_error(
    raw: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv(prism.PRISM_VARIABLE, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    ended = use(capsys, *split(raw, tmp_path / "out", "--runner=PrismRunner"))
    assert ended.status == 1
    ended.told("--runner=PrismRunner needs Prism", "go install", "--prism_location")
    assert not (tmp_path / "out").exists()


def test_what_is_no_prism_is_one_clear_error(
    raw: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program = shutil.which("false")
    flags = (f"--prism_location={program}", "--runner=PrismRunner")
    ended = use(capsys, *split(raw, tmp_path / "out", *flags))
    assert ended.status == 1
    ended.told(f"Prism ('{program}') did not start within")


def test_the_work_around_for_lost_data_reaches_the_job_service() -> None:
    from apache_beam.runners.portability.fn_api_runner import worker_handlers

    worker_handlers.DATA_BUFFER_TIME_LIMIT_MS = 1000
    portable.prepare([])
    assert worker_handlers.DATA_BUFFER_TIME_LIMIT_MS == 0
