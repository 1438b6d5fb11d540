"""What ends the process that works on it costs one clip or video: whole runs, real faults."""

from __future__ import annotations

import dataclasses
import os
import signal
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import apache_beam as beam
import pytest
from child_processes import children_here
from make_video import VideoSpec, make_video
from run_command import Curated
from wrong_use import STRIDE

from beam_pipeline.cli import main
from runners import direct
from transforms.clips.plan import read_plan
from transforms.ingest.probe_videos import ProbeVideos, probe_video
from transforms.layout import plan_uri
from transforms.media import child_limits
from transforms.media.child_limits import LEAST_MEMORY_BYTES, MIB, ChildLimits
from transforms.media.child_messages import ClipReport, CutJob, JobClip
from transforms.media.children import ChildPool
from transforms.media.encode import resolve_encoder
from transforms.media.look import LookSettings
from transforms.media.probe import probe
from transforms.media.probing import Prober
from transforms.media.transcode_options import Transcode
from transforms.records import ProbedVideo, Video
from transforms.run_context import RunContext

LIMITS = ("--child_silence_limit_s", "4", "--child_memory_limit_mb", "256")
TOLD = {
    "crash": "signal 11 (SIGSEGV)",
    "hang": "no sign of progress for 4 seconds",
    "memory": "it may have 256 MiB (--child_memory_limit_mb)",
}


@pytest.fixture(autouse=True)
def no_child_is_left() -> Iterator[None]:
    yield
    assert children_here() == []


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Curated:
    """Return a run without a fault: ``a.mp4`` of four clips, ``b.mp4`` of two."""
    folder = tmp_path_factory.mktemp("faultless")
    (folder / "raw").mkdir()
    make_video(folder / "raw" / "a.mp4", VideoSpec(seconds=4, size=(96, 64)))
    make_video(folder / "raw" / "b.mp4", VideoSpec(seconds=2, size=(64, 64), keyframe_every=0))
    run = Curated.below(folder, folder / "raw")
    assert run.curate(*STRIDE, *LIMITS) == 0
    assert len(run.metas()) == 6
    return run


def clip_files(run: Curated) -> dict[str, str]:
    """Return the digests of clips and their metadata by path."""
    kinds = ("out/clips/", "out/metas/")
    return {rel: digest for rel, digest in run.trees().items() if rel.startswith(kinds)}


def clip_at(run: Curated, name: str, second: float) -> str:
    """Return the id of the clip of this video that begins there."""
    (clip_id,) = (
        clip_id
        for clip_id, meta in run.metas().items()
        if meta["source_video"].endswith(name) and meta["duration_span"][0] == second
    )
    return clip_id


def video_b(run: Curated) -> Video:
    uri = str(run.raw / "b.mp4")
    return Video(uri, "b.mp4", uri, (run.raw / "b.mp4").stat().st_size)


class TestCutting:
    @pytest.mark.parametrize("what", ["crash", "hang", "memory"])
    def test_a_clip_that_ends_its_child_fails_alone(
        self, what: str, done: Curated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        victim = clip_at(done, "a.mp4", 1)
        monkeypatch.setenv("BEAM_CURATE_FAULT", f"{what}:{victim}")
        run = Curated.below(tmp_path, done.raw)
        assert run.curate(*STRIDE, *LIMITS) == 3, "no whole video failed"
        failure = run.read(f"failures/cut/{victim}.json")
        assert failure["reason"] == what
        assert str(done.raw / "a.mp4") in failure["message"]
        assert TOLD[what] in failure["message"]
        failed = [path for path in (run.out / "failures").rglob("*") if path.is_file()]
        assert [path.stem for path in failed] == [victim]
        others = {rel: digest for rel, digest in clip_files(done).items() if victim not in rel}
        assert len(others) == 2 * 5
        assert clip_files(run) == others
        # Without the fault the clip is made after all, and nothing tells the two runs apart.
        monkeypatch.delenv("BEAM_CURATE_FAULT")
        assert run.curate(*STRIDE, *LIMITS, "--retry_failed") == 0
        assert clip_files(run) == clip_files(done)

    def test_memory_that_runs_out_in_the_encoder_is_not_blamed_on_the_video(
        self, tmp_path: Path
    ) -> None:
        # x264 alone would need 200 MiB for these pictures; it says "generic error".
        big = VideoSpec(seconds=0.8, size=(1920, 1080), encoder_options=(("preset", "ultrafast"),))
        video = make_video(tmp_path / "big.mp4", big)
        encode, _ = resolve_encoder(Transcode())
        job = CutJob(
            job_id="job",
            source=str(video),
            facts=probe(str(video), name="big.mp4", num_bytes=video.stat().st_size),
            index_path=str(tmp_path / "index.npz"),
            clips=(JobClip("c", Fraction(0), Fraction(1, 2)),),
            encode=encode,
            look=LookSettings(),
        )
        with ChildPool(tmp_path / "scratch", 1, limits=ChildLimits(memory_mb=160)) as pool:
            pool.submit(job)
            (report,) = [one for one in _collect(pool) if isinstance(one, ClipReport)]
        assert report.failure is not None
        assert (report.failure.stage, report.failure.reason) == ("cut", "memory")


def _collect(pool: ChildPool) -> Iterator[object]:
    while pool.num_open:
        yield from pool.reports(block=True)


class TestProbing:
    @pytest.mark.parametrize("what", ["crash", "hang", "memory"])
    def test_a_video_that_ends_the_child_that_probes_it_fails_alone(
        self, what: str, done: Curated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        video = video_b(done)
        monkeypatch.setenv("BEAM_CURATE_FAULT", f"{what}:{video.video_uuid}")
        run = Curated.below(tmp_path, done.raw)
        assert run.curate(*STRIDE, *LIMITS) == 1, "one of two videos failed"
        failure = run.read(f"failures/probe/{video.video_uuid}.json")
        assert (failure["reason"], failure["rel"]) == (what, "b.mp4")
        assert f"{video.uri} could not be probed, twice" in failure["message"]
        assert TOLD[what] in failure["message"]
        lost = {clip_at(done, "b.mp4", 0), clip_at(done, "b.mp4", 1)}
        others = {
            rel: digest
            for rel, digest in clip_files(done).items()
            if not any(clip_id in rel for clip_id in lost)
        }
        assert len(others) == 2 * 4
        assert clip_files(run) == others
        assert run.curate(*STRIDE, *LIMITS, "--max_failed_share", "0.5") == 3

    def test_plan_goes_on_behind_a_video_that_crashes(
        self,
        done: Curated,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        # The stretches that plan copies for its trial cuts are read in a child as well.
        video = video_b(done)
        other = Video(str(done.raw / "a.mp4"), "a.mp4", str(done.raw / "a.mp4"), 0)
        faults = (f"crash:{video.video_uuid}", f"crash:stretch-{other.video_uuid}")
        monkeypatch.setenv("BEAM_CURATE_FAULT", ",".join(faults))
        paths = ("--input_video_path", str(done.raw), "--output_clip_path", str(tmp_path / "out"))
        assert main(["plan", "split", *paths, *STRIDE, *LIMITS]) == 0
        told = capsys.readouterr().out
        assert "b.mp4: crash" in told
        assert "clips       4" in told

    def test_a_child_is_kept_and_replaced_when_it_is_killed(
        self, done: Curated, tmp_path: Path
    ) -> None:
        video = video_b(done)
        expected = probe(video.uri, name="b.mp4", num_bytes=video.num_bytes)
        with Prober(tmp_path / "scratch", ChildLimits()) as prober:
            assert prober.child_pids == ()
            assert prober.probe(video) == expected
            first = prober.child_pids
            assert prober.probe(video) == expected
            assert prober.child_pids == first == tuple(children_here())
            limits = Path(f"/proc/{first[0]}/limits").read_text()
            assert str(ChildLimits().memory_bytes()) in limits
            os.kill(first[0], signal.SIGKILL)
            assert prober.probe(video) == expected
            assert len(prober.child_pids) == 1
            assert prober.child_pids != first
            prober.end_children()
            assert prober.child_pids == ()
            assert prober.probe(video) == expected

    def test_a_video_with_a_plan_is_not_read(self, done: Curated, tmp_path: Path) -> None:
        context = _context(done.out, tmp_path)
        gone = dataclasses.replace(video_b(done), uri=str(tmp_path / "gone.mp4"))
        plan = read_plan(plan_uri(context.root, gone.video_uuid))
        with Prober(tmp_path / "scratch", ChildLimits()) as prober:
            assert probe_video(gone, prober, context) == ProbedVideo(gone, plan.facts)
            assert prober.child_pids == ()

    def test_a_later_step_that_raises_leaves_no_child(self, done: Curated, tmp_path: Path) -> None:
        context = _context(str(tmp_path / "out"), tmp_path)

        def fail(probed: ProbedVideo) -> None:
            raise RuntimeError(f"{probed.video.rel}: {len(children_here())} children are there")

        def build(root: beam.Pipeline) -> None:
            _ = (
                root
                | beam.Create([video_b(done)])
                | ProbeVideos(ChildLimits(), context)
                | beam.Map(fail)
            )

        with pytest.raises(RuntimeError, match=r"b\.mp4: 1 children are there"):
            direct.run(build, [])
        assert children_here() == []


def _context(root: Path | str, folder: Path) -> RunContext:
    return RunContext(
        root=str(root),
        run_id="run",
        scratch=str(folder / "scratch"),
        progress_folder=str(folder / "progress"),
        stages=(),
        spans_fingerprint="",
    )


class TestLimits:
    def test_the_default_is_the_memory_for_each_slot_but_not_too_little(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        memory = child_limits.machine_memory_bytes()
        monkeypatch.setenv("BEAM_CURATE_SLOTS", "1")
        assert ChildLimits().memory_bytes() == max(memory, LEAST_MEMORY_BYTES)
        monkeypatch.setenv("BEAM_CURATE_SLOTS", "1000000")
        assert ChildLimits().memory_bytes() == LEAST_MEMORY_BYTES
        assert ChildLimits(memory_mb=300).memory_bytes() == 300 * MIB
        assert ChildLimits(memory_mb=0).memory_bytes() == 0

    @pytest.mark.parametrize(
        ("groups", "expected"),
        [
            ("0::/job/step\n", [3 * MIB, 5 * MIB]),
            ("4:memory:/box\n0::/\n", [7 * MIB]),
            ("1:cpu:/job\n", []),
        ],
        ids=["second version, a limit on each level", "first version", "none"],
    )
    def test_limits_of_containers_are_found(
        self,
        groups: str,
        expected: list[int],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        (tmp_path / "job" / "step").mkdir(parents=True)
        (tmp_path / "memory").mkdir()
        (tmp_path / "job" / "step" / "memory.max").write_text(f"{3 * MIB}\n")
        (tmp_path / "job" / "memory.max").write_text(f"{5 * MIB}\n")
        (tmp_path / "memory.max").write_text("max\n")
        # Seen from inside, a container's own group is at the top.
        (tmp_path / "memory" / "memory.limit_in_bytes").write_text(f"{7 * MIB}\n")
        monkeypatch.setattr(child_limits, "_CGROUPS", tmp_path)
        assert list(child_limits._cgroup_limits(groups)) == expected

    def test_a_limit_with_which_no_child_starts_is_refused(
        self, done: Curated, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        run = Curated.below(tmp_path, done.raw)
        assert run.curate(*STRIDE, "--child_memory_limit_mb", "64") == 2
        assert "child_memory_limit_mb: must be 0 (no limit) or at least 128" in (
            capsys.readouterr().err
        )
