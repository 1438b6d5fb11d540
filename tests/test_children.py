"""The pool of children: real children cut real small videos, crash, hang and are killed."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import pytest
from make_video import VideoSpec

from transforms.errors import CurateError
from transforms.media.child_limits import ChildLimits
from transforms.media.child_messages import Hello, from_line, to_line
from transforms.media.children import ChildPool, ClipReport, CutJob, JobClip, JobDone
from transforms.media.clip_files import clip_path
from transforms.media.encode import resolve_encoder
from transforms.media.look import LookSettings
from transforms.media.observers.motion import MotionSettings
from transforms.media.probe import probe
from transforms.media.transcode_options import Transcode

ROOT = Path(__file__).resolve().parent.parent
SPEC = VideoSpec(seconds=4, keyframe_every=0)
MakeVideo = Callable[[str, VideoSpec], Path]
Reports = list[ClipReport | JobDone]


@pytest.fixture(autouse=True)
def two_slots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "runtime").mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "runtime"))
    monkeypatch.setenv("BEAM_CURATE_SLOTS", "2")
    monkeypatch.delenv("BEAM_CURATE_FAULT", raising=False)


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    return tmp_path / "scratch"


@pytest.fixture
def video(made_video: MakeVideo) -> Path:
    """100 frames, 25 per second, one keyframe."""
    return made_video("four seconds.mp4", SPEC)


def cut_clips(prefix: str, *, num_clips: int, seconds: Fraction) -> tuple[JobClip, ...]:
    return tuple(JobClip(f"{prefix}{i}", i * seconds, (i + 1) * seconds) for i in range(num_clips))


def make_job(video: Path, scratch: Path, clips: tuple[JobClip, ...], job_id: str = "job") -> CutJob:
    encode, _ = resolve_encoder(Transcode(transcode_preset="ultrafast"))
    return CutJob(
        job_id=job_id,
        source=str(video),
        facts=probe(str(video), name=video.name, num_bytes=video.stat().st_size),
        index_path=str(scratch / "index" / f"{job_id}.npz"),
        clips=clips,
        encode=encode,
        look=LookSettings(),
    )


def four_clips(video: Path, scratch: Path, prefix: str = "c") -> CutJob:
    """Return a job of four clips of one second, 25 frames each."""
    clips = cut_clips(prefix, num_clips=4, seconds=Fraction(1))
    return make_job(video, scratch, clips, job_id=f"job-{prefix}")


def collect(pool: ChildPool) -> Reports:
    reports: Reports = []
    while pool.num_open:
        reports.extend(pool.reports(block=True))
    return reports


def run_one(job: CutJob, scratch: Path, *, silence_seconds: float = 60.0) -> Reports:
    with ChildPool(scratch, 1, limits=ChildLimits(silence_seconds=silence_seconds)) as pool:
        pool.submit(job)
        return collect(pool)


def frames_by_clip(reports: Reports) -> dict[str, int | None]:
    """Return frames per clip, None for failed ones; every clip exactly once."""
    clips = [report for report in reports if isinstance(report, ClipReport)]
    assert len({clip.clip_id for clip in clips}) == len(clips)
    return {clip.clip_id: clip.file.num_frames if clip.file else None for clip in clips}


def failure(reports: Reports, clip_id: str) -> tuple[str, str, str]:
    for report in reports:
        if isinstance(report, ClipReport) and report.clip_id == clip_id and report.failure:
            return report.failure.stage, report.failure.reason, report.failure.message
    raise AssertionError(f"{clip_id} has not failed")


def is_running(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def gone_within(pids: tuple[int, ...], *, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while any(is_running(pid) for pid in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


class TestWork:
    def test_every_clip_is_cut_looked_at_and_reported_in_order(
        self, video: Path, scratch: Path
    ) -> None:
        job = four_clips(video, scratch)
        reports = run_one(job, scratch)
        *clips, done = reports
        assert frames_by_clip(reports) == {"c0": 25, "c1": 25, "c2": 25, "c3": 25}
        for clip in clips:
            assert isinstance(clip, ClipReport)
            assert clip.file is not None
            data = clip_path(scratch, clip.clip_id).read_bytes()
            assert clip.file.num_bytes == len(data)
            assert clip.file.sha256 == hashlib.sha256(data).hexdigest()
            assert (clip.file.width, clip.file.height) == (160, 96)
            assert (clip.file.video_codec, clip.file.made_by) == ("h264", "encode")
            assert [(w.start_frame, w.end_frame) for w in clip.file.windows] == [(0, 25)]
        spans = [clip.file.source_span_pts for clip in clips]
        second = round(1 / job.facts.time_base)
        assert spans == [(i * second, (i + 1) * second) for i in range(4)]
        assert isinstance(done, JobDone)
        assert (done.job_id, done.num_decoded) == ("job-c", 100)
        assert set(done.seconds) == {"index", "cut", "look"}
        assert Path(job.index_path).is_file()
        assert not list((scratch / "cutting").iterdir())

    def test_a_committed_clip_is_only_looked_at_and_skipped_ones_are_left_out(
        self, video: Path, scratch: Path, made_video: MakeVideo
    ) -> None:
        finished = made_video(
            "finished.mp4", VideoSpec(seconds=2, size=(320, 256), keyframe_every=0)
        )
        clips = (
            JobClip("a", Fraction(0), Fraction(1), "skip"),
            JobClip("b", Fraction(1), Fraction(2), "look", str(finished), (7, 9), "passthrough"),
        )
        job = make_job(video, scratch, clips)
        job = dataclasses.replace(job, look=LookSettings(motion=MotionSettings()))
        report, done = run_one(job, scratch)
        assert isinstance(report, ClipReport)
        assert report.file is not None
        assert (report.clip_id, report.file.num_frames) == ("b", 50)
        assert (report.file.source_span_pts, report.file.made_by) == ((7, 9), "passthrough")
        assert set(report.scores) == {"motion_global_mean", "motion_per_patch_min_256"}
        assert isinstance(done, JobDone)
        assert (done.num_decoded, set(done.seconds)) == (0, {"look"})
        # Nothing was cut, so the source was not read.
        assert not Path(job.index_path).exists()

    def test_a_job_of_skipped_clips_needs_no_child(self, video: Path, scratch: Path) -> None:
        job = make_job(video, scratch, (JobClip("a", Fraction(0), Fraction(1), "skip"),))
        assert run_one(job, scratch) == [JobDone("job", 0, {})]

    def test_a_span_without_frames_is_neither_file_nor_failure(
        self, video: Path, scratch: Path
    ) -> None:
        clips = (
            JobClip("a", Fraction(3), Fraction(4)),
            JobClip("b", Fraction(4), Fraction(5)),
        )
        reports = run_one(make_job(video, scratch, clips), scratch)
        assert reports[1] == ClipReport("job", "b")
        assert frames_by_clip(reports) == {"a": 25, "b": None}

    def test_the_index_is_read_when_it_is_there(self, video: Path, scratch: Path) -> None:
        job = four_clips(video, scratch)
        run_one(job, scratch)
        made = Path(job.index_path).stat()
        reports = run_one(job, scratch)
        assert frames_by_clip(reports) == {"c0": 25, "c1": 25, "c2": 25, "c3": 25}
        assert Path(job.index_path).stat().st_ino == made.st_ino

    def test_what_libraries_print_does_not_come_between_messages(
        self, video: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("BEAM_CURATE_FAULT", "noise:c1,noise:c2")
        reports = run_one(four_clips(video, scratch), scratch)
        assert frames_by_clip(reports) == {"c0": 25, "c1": 25, "c2": 25, "c3": 25}

    def test_eight_cuts_at_once_give_the_same_bytes(
        self, video: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("BEAM_CURATE_SLOTS", "8")
        with ChildPool(scratch, 8) as pool:
            for i in range(8):
                clips = (JobClip(f"h{i}", Fraction(1), Fraction(3)),)
                pool.submit(make_job(video, scratch, clips, job_id=f"job{i}"))
            reports = [report for report in collect(pool) if isinstance(report, ClipReport)]
        assert len(reports) == 8
        hashes = {report.file.sha256 for report in reports if report.file}
        assert len(hashes) == 1
        assert frames_by_clip(list(reports)) == {f"h{i}": 50 for i in range(8)}


class TestBadSource:
    def test_a_truncated_video_fails_each_clip_by_name(
        self, made_video: MakeVideo, scratch: Path, tmp_path: Path
    ) -> None:
        faststart = (("movflags", "faststart"),)
        whole = made_video("whole.mp4", VideoSpec(seconds=4, container_options=faststart))
        job = four_clips(whole, scratch)
        half = tmp_path / "half.mp4"
        half.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
        reports = run_one(dataclasses.replace(job, source=str(half)), scratch)
        for i in range(4):
            stage, reason, message = failure(reports, f"c{i}")
            assert (stage, reason) == ("cut", "truncated")
            assert "half.mp4" in message
        assert isinstance(reports[-1], JobDone)

    def test_a_finished_clip_that_does_not_decode_fails_alone(
        self, video: Path, scratch: Path, tmp_path: Path
    ) -> None:
        bad = tmp_path / "bad.mp4"
        bad.write_bytes(b"no video")
        clips = (
            JobClip("a", Fraction(0), Fraction(1), "look", str(bad)),
            JobClip("b", Fraction(1), Fraction(2)),
        )
        reports = run_one(make_job(video, scratch, clips), scratch)
        assert failure(reports, "a")[:2] == ("look", "clip_does_not_decode")
        assert frames_by_clip(reports) == {"a": None, "b": 25}


class TestPool:
    def test_two_children_work_at_once(
        self, video: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # Each hangs at its last clip: both must have reported the first ones meanwhile.
        monkeypatch.setenv("BEAM_CURATE_FAULT", "hang:a3,hang:b3")
        with ChildPool(scratch, 2) as pool:
            pool.submit(four_clips(video, scratch, "a"))
            pool.submit(four_clips(video, scratch, "b"))
            reports: Reports = []
            while len(reports) < 6:
                reports.extend(pool.reports(block=True))
            pids = pool.child_pids
            assert len(pids) == 2
            assert all(is_running(pid) for pid in pids)
        assert gone_within(pids, seconds=0)
        assert set(frames_by_clip(reports)) == {"a0", "a1", "a2", "b0", "b1", "b2"}

    def test_only_as_many_children_work_as_there_are_slots(
        self, video: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("BEAM_CURATE_SLOTS", "1")
        monkeypatch.setenv("BEAM_CURATE_FAULT", "hang:a3")
        with ChildPool(scratch, 2, limits=ChildLimits(silence_seconds=6)) as pool:
            pool.submit(four_clips(video, scratch, "a"))
            reports: Reports = []
            while len(reports) < 3:
                reports.extend(pool.reports(block=True))
            pool.submit(four_clips(video, scratch, "b"))
            # While one child hangs with the only slot, the other waits and does nothing.
            deadline = time.monotonic() + 4
            while time.monotonic() < deadline:
                assert list(pool.reports(block=False)) == []
                time.sleep(0.05)
            assert len(pool.child_pids) == 2
            reports += collect(pool)
        # It waited longer than the silence allowed, and was not taken for one that hangs.
        assert failure(reports, "a3")[1] == "hang"
        assert frames_by_clip(reports) == {
            "a0": 25,
            "a1": 25,
            "a2": 25,
            "a3": None,
            "b0": 25,
            "b1": 25,
            "b2": 25,
            "b3": 25,
        }

    def test_children_start_only_when_there_is_work(self, video: Path, scratch: Path) -> None:
        with ChildPool(scratch, 2) as pool:
            assert pool.child_pids == ()
            assert list(pool.reports(block=True)) == []
            pool.submit(four_clips(video, scratch))
            collect(pool)
            assert len(pool.child_pids) == 1

    def test_one_job_goes_and_one_is_queued_per_child(self, video: Path, scratch: Path) -> None:
        with ChildPool(scratch, 1) as pool:
            assert pool.capacity == 2
            pool.submit(four_clips(video, scratch, "a"))
            pool.submit(four_clips(video, scratch, "b"))
            assert (pool.capacity, pool.num_open) == (0, 2)
            pool.submit(four_clips(video, scratch, "c"))
            # It waited for a job to end; no report of that one is lost.
            assert pool.num_open == 3
            reports = collect(pool)
        assert frames_by_clip(reports) == {f"{job}{i}": 25 for job in "abc" for i in range(4)}
        done = [report.job_id for report in reports if isinstance(report, JobDone)]
        assert done == ["job-a", "job-b", "job-c"]

    def test_closing_ends_children_in_the_middle_of_a_job(
        self, video: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("BEAM_CURATE_FAULT", "hang:c1")
        pool = ChildPool(scratch, 1)
        pool.submit(four_clips(video, scratch))
        assert frames_by_clip(list(pool.reports(block=True))) == {"c0": 25}
        pids = pool.child_pids
        started = time.monotonic()
        pool.close()
        assert time.monotonic() - started < 5
        assert len(pids) == 1
        assert not Path(f"/proc/{pids[0]}").exists()
        assert not list((scratch / "children").iterdir())
        assert not list((scratch / "cutting").iterdir())
        with pytest.raises(CurateError, match="closed"):
            pool.submit(four_clips(video, scratch))

    def test_a_full_scratch_folder_delays_the_next_job_only(
        self, video: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("BEAM_CURATE_FAULT", "hang:a3")
        scratch.mkdir()
        (scratch / "full").write_bytes(b"x")
        limits = ChildLimits(silence_seconds=4)
        with ChildPool(scratch, 2, limits=limits, budget_bytes=1) as pool:
            pool.submit(four_clips(video, scratch, "a"))
            pool.submit(four_clips(video, scratch, "b"))
            reports = collect(pool)
        assert [report.job_id for report in reports] == ["job-a"] * 5 + ["job-b"] * 5


class TestEndOfAChild:
    def test_the_job_of_a_killed_child_is_finished_by_a_new_one(
        self, made_video: MakeVideo, scratch: Path
    ) -> None:
        video = made_video("six seconds.mp4", VideoSpec(seconds=6, size=(320, 180)))
        clips = cut_clips("c", num_clips=15, seconds=Fraction(2, 5))
        with ChildPool(scratch, 1) as pool:
            pool.submit(make_job(video, scratch, clips))
            reports = list(pool.reports(block=True))
            first = pool.child_pids
            os.kill(first[0], signal.SIGKILL)
            num_before = len(reports)
            reports += collect(pool)
            assert pool.child_pids != first
        assert num_before < 15
        assert frames_by_clip(reports) == {f"c{i}": 10 for i in range(15)}

    def test_a_clip_that_crashes_twice_fails_and_the_others_do_not(
        self, video: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        untouched = run_one(four_clips(video, scratch), scratch)
        monkeypatch.setenv("BEAM_CURATE_FAULT", "crash:c1")
        reports = run_one(four_clips(video, scratch), scratch)
        stage, reason, message = failure(reports, "c1")
        assert (stage, reason) == ("cut", "crash")
        assert "signal 11 (SIGSEGV)" in message
        assert "four seconds.mp4" in message
        # The log's tail shows where, as Python's fault handler wrote it.
        assert "Segmentation fault" in message
        others = [r for r in reports if isinstance(r, ClipReport) and r.clip_id != "c1"]
        assert others == [untouched[0], untouched[2], untouched[3]]

    def test_an_unexpected_exception_is_a_crash_with_its_traceback(
        self, video: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("BEAM_CURATE_FAULT", "error:c0")
        reports = run_one(four_clips(video, scratch), scratch)
        stage, reason, message = failure(reports, "c0")
        assert (stage, reason) == ("cut", "crash")
        assert "exit status 1" in message
        assert "RuntimeError: ordered fault 'error' at c0" in message
        assert frames_by_clip(reports) == {"c0": None, "c1": 25, "c2": 25, "c3": 25}

    def test_a_child_that_hangs_is_ended(
        self, video: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("BEAM_CURATE_FAULT", "hang:c2")
        reports = run_one(four_clips(video, scratch), scratch, silence_seconds=4)
        assert [path.name for path in sorted((scratch / "clips").iterdir())] == ["c0", "c1", "c3"]
        stage, reason, message = failure(reports, "c2")
        assert (stage, reason) == ("cut", "hang")
        assert "no sign of progress for 4 seconds" in message
        assert frames_by_clip(reports) == {"c0": 25, "c1": 25, "c2": None, "c3": 25}

    def test_after_three_lost_clips_in_a_row_the_rest_is_not_tried(
        self, video: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("BEAM_CURATE_FAULT", "crash:c1,crash:c2,crash:c3")
        clips = cut_clips("c", num_clips=8, seconds=Fraction(1, 2))
        reports = run_one(make_job(video, scratch, clips), scratch)
        assert [r.clip_id for r in reports if isinstance(r, ClipReport)] == [
            f"c{i}" for i in range(8)
        ]
        # The first half second at 25 frames per second: frames 0 to 12.
        assert frames_by_clip(reports) == {"c0": 13, **{f"c{i}": None for i in range(1, 8)}}
        for i in (1, 2, 3):
            assert f"clip c{i} of" in failure(reports, f"c{i}")[2]
            assert "could not be made, twice" in failure(reports, f"c{i}")[2]
        for i in (4, 5, 6, 7):
            assert "was not tried again" in failure(reports, f"c{i}")[2]

    def test_a_child_that_cannot_start_stops_the_run(
        self, video: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        job = four_clips(video, scratch)
        monkeypatch.setattr(sys, "executable", "/bin/false")
        with ChildPool(scratch, 2) as pool:
            pool.submit(job)
            for _ in range(2):
                with pytest.raises(CurateError, match="could not start: /bin/false"):
                    list(pool.reports(block=True))

    @pytest.mark.parametrize("closed", [True, False], ids=["stdin closed", "another parent"])
    def test_a_child_without_its_parent_ends(
        self, video: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch, closed: bool
    ) -> None:
        monkeypatch.setenv("BEAM_CURATE_FAULT", "hang:c1")
        parent = os.getpid() if closed else os.getppid()
        child = subprocess.Popen(
            [sys.executable, "-m", "transforms.media.child", str(scratch), str(parent), "0"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        assert child.stdin is not None
        assert child.stdout is not None
        hello = from_line(child.stdout.readline())
        assert isinstance(hello, Hello)
        assert hello.pid == child.pid
        if closed:
            child.stdin.write(to_line(four_clips(video, scratch)))
            child.stdin.flush()
            while not isinstance(from_line(child.stdout.readline()), ClipReport):
                pass
            child.stdin.close()
        assert child.wait(timeout=5) == 0

    def test_a_child_dies_with_its_parent(
        self, video: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("BEAM_CURATE_FAULT", "hang:c1")
        line = tmp_path / "job.json"
        line.write_bytes(to_line(four_clips(video, scratch)))
        parent = subprocess.Popen(
            [sys.executable, "-c", PARENT, str(line), str(scratch)],
            stdout=subprocess.PIPE,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert is_running(child)
        parent.kill()
        parent.wait()
        assert gone_within((child,), seconds=2)


PARENT = """
import sys
from pathlib import Path
from transforms.media.child_messages import from_line
from transforms.media.children import ChildPool
pool = ChildPool(Path(sys.argv[2]), 1)
pool.submit(from_line(Path(sys.argv[1]).read_bytes()))
assert [report.clip_id for report in pool.reports(block=True)] == ["c0"]
print(pool.child_pids[0], flush=True)
input()
"""


class TestFullDisk:
    @pytest.fixture
    def small_disk(self, tmp_path: Path) -> Iterator[Path]:
        disk = tmp_path / "disk"
        disk.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)]
        if os.geteuid() != 0 or subprocess.run(command, check=False).returncode != 0:
            pytest.skip("a small disk needs the right to mount one")
        yield disk
        subprocess.run(["umount", str(disk)], check=True)

    def test_a_full_disk_stops_the_run_and_blames_no_clip(
        self, made_video: MakeVideo, small_disk: Path
    ) -> None:
        video = made_video("noise.mp4", VideoSpec(seconds=2, size=(320, 180), noise=True))
        clips = cut_clips("c", num_clips=2, seconds=Fraction(1))
        with ChildPool(small_disk, 1) as pool:
            pool.submit(make_job(video, small_disk, clips))
            with pytest.raises(CurateError, match="No space left on device"):
                collect(pool)


class TestMessages:
    def test_a_job_survives_the_line(self, video: Path, scratch: Path) -> None:
        job = four_clips(video, scratch)
        job = dataclasses.replace(job, look=LookSettings(motion=MotionSettings()))
        line = to_line(job)
        assert line.count(b"\n") == 1
        assert line.endswith(b"\n")
        assert from_line(line) == job

    def test_a_child_imports_neither_beam_nor_torch(self) -> None:
        code = (
            "import sys, transforms.media.child\n"
            "print({'apache_beam', 'torch', 'pyarrow'} & set(sys.modules))"
        )
        shown = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            check=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        assert shown.stdout.strip() == b"set()"
