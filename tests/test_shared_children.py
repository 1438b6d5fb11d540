"""Children are started once for all steps of a process, and end with the last step."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from child_processes import children_here
from make_video import VideoSpec, make_video

from beam_pipeline.cli import main
from transforms.errors import CurateError
from transforms.media import child_process
from transforms.media.child_lane import Lane
from transforms.media.child_limits import ChildLimits
from transforms.media.child_messages import IndexJob, IndexReport, ProbeJob, ProbeReport
from transforms.media.probe import probe
from transforms.media.shared_children import shared_children

NUM_SLOTS = 2
SHOTS = (
    *("--splitting_algorithm", "content", "--transnetv2_crop_s", "0"),
    *("--transnetv2_min_length_s", "0.4", "--transnetv2_min_length_frames", "10"),
)


@pytest.fixture
def video(tmp_path: Path) -> Path:
    raw = tmp_path / "raw"
    raw.mkdir()
    return make_video(raw / "a.mp4", VideoSpec(seconds=2))


class Starts:
    """Counts the children that this process starts."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.number = 0
        start = child_process.subprocess.Popen

        def counting(command: list[str], *args: object, **options: object) -> object:
            self.number += child_process.MODULE in command
            return start(command, *args, **options)  # type: ignore[call-overload]

        monkeypatch.setattr(child_process.subprocess, "Popen", counting)


def test_a_run_starts_no_more_children_than_slots(
    video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It predicts, probes, indexes, decodes to small frames, cuts and looks.
    monkeypatch.setenv("BEAM_CURATE_SLOTS", str(NUM_SLOTS))
    make_video(video.with_name("b.mp4"), VideoSpec(seconds=3))
    starts = Starts(monkeypatch)
    paths = ("--input_video_path", str(video.parent), "--output_clip_path", str(tmp_path / "out"))
    assert main(["split", *paths, *SHOTS]) == 0
    assert len(list((tmp_path / "out" / "clips").glob("*.mp4"))) >= 2
    assert 1 <= starts.number <= NUM_SLOTS
    assert children_here() == []


class TestSharing:
    def test_every_kind_of_job_goes_to_the_same_child(self, video: Path, tmp_path: Path) -> None:
        facts = probe(str(video), name="a.mp4", num_bytes=video.stat().st_size)
        with shared_children(tmp_path / "scratch", ChildLimits()) as children:
            (probed,) = told(Lane(children), ProbeJob("p", str(video), video.stat().st_size))
            assert isinstance(probed, ProbeReport)
            assert probed.facts == facts
            first = children.pids()
            assert len(first) == 1
            index = IndexJob("i", str(video), facts, str(tmp_path / "i.npz"), False, False)
            with shared_children(tmp_path / "scratch", ChildLimits()) as again:
                (indexed,) = told(Lane(again), index)
                assert isinstance(indexed, IndexReport)
                assert indexed.num_frames == 50
                assert again.pids() == first
            # The inner user has gone, the child has not.
            assert tuple(children_here()) == first
        assert children_here() == []
        assert list((tmp_path / "scratch" / "children").iterdir()) == []

    def test_other_limits_are_other_children(self, tmp_path: Path) -> None:
        with (
            shared_children(tmp_path, ChildLimits()) as ones,
            shared_children(tmp_path, ChildLimits(memory_mb=512)) as others,
            shared_children(tmp_path / "else", ChildLimits()) as elsewhere,
        ):
            assert len({id(ones), id(others), id(elsewhere)}) == 3

    def test_an_idle_child_that_was_killed_costs_no_attempt(
        self, video: Path, tmp_path: Path
    ) -> None:
        job = ProbeJob("p", str(video), video.stat().st_size)
        with shared_children(tmp_path / "scratch", ChildLimits()) as children:
            told(Lane(children), job)
            (pid,) = children.pids()
            os.kill(pid, signal.SIGKILL)
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
            assert len(told(Lane(children), job)) == 1
            assert len(children.pids()) == 1
            assert children.pids() != (pid,)

    def test_a_lane_that_is_left_in_the_middle_of_a_job_keeps_no_child(
        self, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("BEAM_CURATE_FAULT", "hang:p")
        with shared_children(tmp_path / "scratch", ChildLimits()) as children:
            lane = Lane(children)
            messages = lane.attempt(ProbeJob("p", str(video), video.stat().st_size))
            next(messages)
            assert len(children.pids()) == 1
            # What it would say next belongs to a job that nobody waits for.
            messages.close()
            assert children.pids() == ()
            lane.close()
            with pytest.raises(CurateError, match="closed"):
                next(lane.attempt(ProbeJob("q", str(video), 1)))


def told(lane: Lane, job: IndexJob | ProbeJob) -> list[object]:
    """Return the last messages of a job."""
    return [found for found in lane.attempt(job) if isinstance(found, ProbeReport | IndexReport)]
