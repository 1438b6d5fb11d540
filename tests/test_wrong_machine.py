"""Machines that cannot do it: no rights, no room, no encoder, no torch, and runs that are ended."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import apache_beam.runners.portability.fn_api_runner
import pytest
from make_video import VideoSpec, make_video
from process_list import assert_gone
from tree import tree
from unprivileged import as_nobody
from wrong_use import Ended, environment, listing, split, use, use_process

import beam_pipeline.run
from beam_pipeline.cli import main

# Imported here: without rights the modules may not be readable any more.
assert apache_beam.runners.portability.fn_api_runner
assert beam_pipeline.run
Capture = pytest.CaptureFixture[str]
MULTI = ("--direct_running_mode=multi_processing", "--direct_num_workers=2")


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of one video whose clips of one second take about half a megabyte each."""
    folder = tmp_path_factory.mktemp("machine") / "raw"
    folder.mkdir()
    make_video(folder / "a.mp4", VideoSpec(seconds=4, size=(192, 108), noise=True))
    return folder


@pytest.fixture
def public() -> Iterator[Path]:
    """Return a folder that every user can enter and write to, unlike ``tmp_path``."""
    folder = Path(tempfile.mkdtemp(prefix="wrong-machine-", dir="/tmp"))
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Return a function that sets the size of a disk, e.g. ``1m``, and returns where it is."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = False

    def resize(size: str) -> Path:
        nonlocal mounted
        options = f"{'remount,' if mounted else ''}size={size}"
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(disk)]
        if os.geteuid() != 0 or subprocess.run(command, check=False).returncode != 0:
            pytest.skip("a small disk needs the right to mount one")
        mounted = True
        return disk

    yield resize
    if mounted:
        subprocess.run(["umount", str(disk)], check=True)


def use_as_nobody(*arguments: str | Path) -> Ended:
    """Run the program without root's rights."""

    def run() -> Ended:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = main([str(argument) for argument in arguments])
        return Ended(status, out.getvalue(), err.getvalue())

    return as_nobody(run)


class TestRights:
    @pytest.fixture(autouse=True)
    def _own_locks(self, public: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (public / "locks").mkdir()
        (public / "locks").chmod(0o777)
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(public / "locks"))

    @pytest.fixture
    def readable(self, raw: Path, public: Path) -> Path:
        return Path(shutil.copytree(raw, public / "raw"))

    def test_an_output_that_may_not_be_written_is_refused(
        self, readable: Path, public: Path
    ) -> None:
        (public / "shut").mkdir()
        (public / "shut").chmod(0o555)
        for out in (public / "shut", public / "shut" / "new"):
            ended = use_as_nobody(*split(readable, out))
            assert ended.status == 1
            ended.told(f"output_clip_path={out}", "Permission denied", "give another folder")
        assert not listing(public / "shut")

    def test_a_scratch_folder_that_may_not_be_written_is_refused(
        self, readable: Path, public: Path
    ) -> None:
        (public / "shut").mkdir()
        (public / "shut").chmod(0o555)
        scratch = ("--scratch_path", public / "shut")
        ended = use_as_nobody(*split(readable, public / "out", *scratch))
        assert ended.status == 1
        ended.told(f"scratch folder {public / 'shut'}", "Permission denied", "--scratch_path")
        assert not listing(public / "shut")
        assert not (public / "out").exists()

    def test_inputs_that_may_not_be_read_are_named(self, readable: Path, public: Path) -> None:
        (readable / "a.mp4").chmod(0o000)
        (readable / "shut").mkdir()
        (readable / "shut").chmod(0o000)
        ended = use_as_nobody(*split(readable, public / "out"))
        assert ended.status == 1
        ended.told("1 of 1 videos failed")
        assert f"probe unreadable: {readable / 'a.mp4'}: Permission denied" in ended.out
        readable.chmod(0o000)
        ended = use_as_nobody(*split(readable, public / "other"))
        readable.chmod(0o755)
        (readable / "shut").chmod(0o755)
        assert ended.status == 1
        ended.told(f"{readable} cannot be listed: Permission denied")
        assert not (public / "other").exists()


def test_a_lock_folder_that_others_can_write_to_is_refused(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    (tmp_path / "beam-curate").mkdir()
    (tmp_path / "beam-curate").chmod(0o777)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    before = listing(tmp_path)
    ended = use(capsys, *split(raw, tmp_path / "out"))
    assert ended.status == 1
    ended.told(str(tmp_path / "beam-curate"), "other users may write to it", "XDG_RUNTIME_DIR")
    assert listing(tmp_path) == before


@pytest.mark.parametrize("name", ["output_clip_path", "scratch_path"])
def test_a_file_in_the_place_of_a_folder_is_refused(
    name: str, raw: Path, tmp_path: Path, capsys: Capture
) -> None:
    (tmp_path / "file").write_text("mine")
    before = listing(tmp_path)
    # Of an option that is given twice the later one counts.
    ended = use(capsys, *split(raw, tmp_path / "out", f"--{name}", tmp_path / "file"))
    assert ended.status == 1
    ended.told(str(tmp_path / "file"), "another")
    assert listing(tmp_path) == before


def test_an_absent_encoder_is_told_at_the_start(raw: Path, tmp_path: Path, capsys: Capture) -> None:
    ended = use(capsys, *split(raw, tmp_path / "out", "--transcode_encoder", "h264_nvenc"))
    if ended.status == 0:
        pytest.skip("there is an NVIDIA encoder on this machine")
    assert ended.status == 1
    ended.told("transcode_encoder h264_nvenc", "that work here: libx264", "leave the option out")
    assert not listing(tmp_path)


class TestFullDisk:
    def test_a_full_output_keeps_what_is_finished_and_goes_on_with_room(
        self, raw: Path, tmp_path: Path, small_disk: Callable[[str], Path], capsys: Capture
    ) -> None:
        out = small_disk("1300k") / "out"
        ended = use_process(*split(raw, out))
        assert ended.status == 1
        ended.told(str(out), "No space left on device", "the same command goes on from here")
        assert len(ended.complaints) == 1
        finished = {path.stem: path.stat().st_mtime_ns for path in (out / "metas/v0").iterdir()}
        assert 1 <= len(finished) < 4
        assert all((out / "clips" / f"{clip_id}.mp4").exists() for clip_id in finished)

        small_disk("32m")
        assert use(capsys, *split(raw, out)).status == 0
        assert len(list((out / "clips").iterdir())) == 4
        for clip_id, changed in finished.items():
            assert (out / "metas/v0" / f"{clip_id}.json").stat().st_mtime_ns == changed
        whole = tmp_path / "whole"
        assert use(capsys, *split(raw, whole)).status == 0
        assert tree(out, {"<out>": out}) == tree(whole, {"<out>": whole})

    @pytest.mark.parametrize("mode", [(), MULTI], ids=["in_memory", "multi_processing"])
    def test_a_full_scratch_folder_is_named_and_left_empty(
        self,
        mode: tuple[str, ...],
        raw: Path,
        tmp_path: Path,
        small_disk: Callable[[str], Path],
        capsys: Capture,
    ) -> None:
        scratch, out = small_disk("300k") / "scratch", tmp_path / "out"
        ended = use_process(*split(raw, out, "--scratch_path", scratch, *mode))
        assert ended.status == 1
        ended.told(f"scratch folder {scratch}", "No space left on device", "--scratch_path")
        assert len(ended.complaints) == 1
        assert len(ended.err.splitlines()) <= 8, "no log of the runner"
        assert not list(scratch.iterdir())
        assert not (out / "failures").exists(), "no video is to blame"
        if not mode:
            assert use(capsys, *split(raw, out)).status == 0
            assert len(list((out / "clips").iterdir())) == 4


FORBID = """
import sys
class Forbidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "torchvision", "transformers"):
            raise ImportError(f"{name} is not installed here")
sys.meta_path.insert(0, Forbidden())
"""


def test_fixed_stride_needs_no_torch(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    make_video(raw / "a.mp4", VideoSpec(seconds=2, size=(320, 256)))
    # Every Python process imports this module first, the children that decode too.
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(FORBID)
    env = {"PYTHONPATH": str(tmp_path / "site")}
    checked = subprocess.run(
        [sys.executable, "-c", "import torch"],
        env=environment(env),
        check=False,
        capture_output=True,
    )
    assert b"torch is not installed here" in checked.stderr
    arguments = split(raw, tmp_path / "out", "--motion_filter", "score-only")
    ended = use_process("curate", *arguments[1:], env=env)
    assert ended.status == 0, ended.err
    assert "2 samples" in ended.out


@pytest.fixture(scope="module")
def long_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of one video that takes some seconds to cut."""
    folder = tmp_path_factory.mktemp("interrupted") / "raw"
    folder.mkdir()
    make_video(folder / "long.mp4", VideoSpec(seconds=20, size=(320, 192)))
    return folder


@pytest.fixture(scope="module")
def uninterrupted(long_source: Path) -> dict[str, str]:
    """Return what a run that nobody interrupts writes."""
    out = long_source.parent / "whole"
    assert use_process(*split(long_source, out)).status == 0
    return tree(out, {"<out>": out})


@pytest.mark.parametrize(
    ("number", "mode"), [(signal.SIGINT, ()), (signal.SIGTERM, MULTI)], ids=["INT", "TERM"]
)
def test_an_interrupted_run_leaves_no_process_and_goes_on(
    number: signal.Signals,
    mode: tuple[str, ...],
    long_source: Path,
    uninterrupted: dict[str, str],
    tmp_path: Path,
) -> None:
    out, scratch = tmp_path / "out", tmp_path / "scratch"
    command = split(long_source, out, "--scratch_path", scratch, *mode)
    ended = _interrupted(command, out, number)
    assert ended.status == 130
    ended.told("Interrupted. The same command goes on from here")
    assert not list(scratch.iterdir())
    assert not list(out.rglob("lease.json")), "the next run need not find out who is gone"
    finished = {path: path.stat().st_mtime_ns for path in (out / "metas/v0").iterdir()}
    assert len(finished) < 20, "it was over before the signal came"

    assert use_process(*split(long_source, out)).status == 0
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
    assert not list(out.rglob(".tmp-*"))
    assert tree(out, {"<out>": out}) == uninterrupted


def _interrupted(command: list[str | Path], out: Path, number: signal.Signals) -> Ended:
    """Run the program, send it a signal when the first clips are there, and see all of it end."""
    process = subprocess.Popen(
        [sys.executable, "-m", "beam_pipeline", *map(str, command)],
        env=environment({}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        while not list(out.glob("metas/v0/*.json")):
            assert process.poll() is None, "it ended by itself"
            time.sleep(0.02)
        # As the terminal sends Ctrl-C: to the whole group.
        os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
        stdout, stderr = process.communicate(timeout=60)
    finally:
        process.kill()
    assert_gone(process.pid, out.parent / "scratch")
    return Ended(process.returncode, stdout, stderr)
