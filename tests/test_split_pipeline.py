"""``curate`` from raw files to shards: outcomes, reruns, resume, later stages, runner modes."""

from __future__ import annotations

import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest
from make_video import VideoSpec, make_video
from run_command import Curated

from transforms.records import video_uuid

STRIDE = (
    "--splitting_algorithm",
    "fixed-stride",
    "--fixed_stride_split_duration",
    "2",
    "--fixed_stride_min_clip_length_s",
    "1",
)
SMALL_CHUNKS = ("--clip_re_chunk_size", "1")
OPTIONS = (*STRIDE, *SMALL_CHUNKS, "--motion_filter", "score-only", "--generate_previews")


@pytest.fixture(scope="session")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of small inputs: plain, nested, with sound, short, not a video, a sidecar."""
    folder = tmp_path_factory.mktemp("inputs") / "raw"
    (folder / "sub dir").mkdir(parents=True)
    make_video(folder / "plain.mp4", VideoSpec(seconds=21, size=(96, 64), keyframe_every=50))
    make_video(
        folder / "sub dir" / "sound #1.mp4",
        VideoSpec(seconds=5, size=(320, 256), audio="aac", fps=Fraction(30000, 1001)),
    )
    make_video(folder / "short.mp4", VideoSpec(seconds=0.6))
    (folder / "text.mp4").write_text("this is no video")
    (folder / "notes.txt").write_text("a sidecar")
    return folder


@pytest.fixture(scope="session")
def done(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> Curated:
    """Return a finished run; nobody may change it."""
    run = Curated.below(tmp_path_factory.mktemp("done"), raw)
    assert run.curate(*OPTIONS) == 1, "one of four videos failed: more than 5 %"
    return run


def test_every_input_is_accounted_for(done: Curated) -> None:
    summary = done.read("summary.json")
    assert summary["num_input_videos"] == 4
    assert summary["num_processed_videos"] == 3
    assert summary["total_num_clips_passed"] == 11 + 3 == len(list((done.out / "clips").iterdir()))
    assert summary["videos"]["plain.mp4"]["num_clip_chunks"] == 3
    short = done.read("processed_videos/short.mp4.json")
    assert short["num_total_clips"] == short["num_clip_chunks"] == 0
    assert short["uncovered"] == [[0.0, 0.6, "shorter_than_min_clip_length"]]
    failed = done.read(f"failures/probe/{video_uuid(str(done.raw / 'text.mp4'))}.json")
    assert failed["reason"] == "not_media"
    assert failed["rel"] == "text.mp4"


def test_metadata_tells_what_the_clip_is(done: Curated) -> None:
    metas = [meta for meta in done.metas().values() if "sound" in meta["source_video"]]
    assert [meta["duration_span"][0] for meta in sorted(metas, key=lambda m: m["duration_span"])]
    for meta in metas:
        clip = Path(meta["clip_location"])
        assert clip.stat().st_size == meta["num_bytes"]
        assert meta["valid"]
        assert (meta["width"], meta["height"]) == (320, 256)
        assert set(meta["motion_score"]) == {"global_mean", "per_patch_min_256"}
        assert meta["windows"][0]["start_frame"] == 0
        assert meta["windows"][-1]["end_frame"] == meta["num_frames"] - 1
        assert (done.out / "previews" / clip.stem / meta["previews"][0]).exists()
    assert sum(meta["num_frames"] for meta in metas) == 150
    small = [meta for meta in done.metas().values() if "plain" in meta["source_video"]]
    assert {meta["motion_missing"] for meta in small} == {"resolution_too_small"}
    assert not any("motion_score" in meta for meta in small)


def test_a_second_run_changes_nothing(done: Curated, capsys: pytest.CaptureFixture[str]) -> None:
    def listing() -> dict[str, tuple[int, int]]:
        paths = [*done.out.rglob("*"), *done.dataset.rglob("*")]
        files = [path for path in paths if path.is_file()]
        return {str(path): (path.stat().st_mtime_ns, path.stat().st_ino) for path in files}

    before = listing()
    assert done.curate(*OPTIONS) == 1, "a state, not an event"
    assert listing() == before
    assert "nothing was left to do" in capsys.readouterr().out


def test_worker_processes_make_the_same_bytes(done: Curated, tmp_path: Path) -> None:
    run = Curated.below(tmp_path, done.raw)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    command = [sys.executable, "-m", "beam_pipeline", "curate"]
    command += ["--input_video_path", str(run.raw), "--output_clip_path", str(run.out), *OPTIONS]
    command += ["--direct_running_mode=multi_processing", "--direct_num_workers=2"]
    result = subprocess.run(
        command, env=environment, capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert result.returncode == 1, result.stderr
    assert run.trees() == done.trees()


def test_what_was_lost_is_made_again_with_the_same_bytes(done: Curated, tmp_path: Path) -> None:
    run = Curated.below(tmp_path, done.raw)
    assert run.curate(*OPTIONS) == 1
    expected = done.trees()
    assert run.trees() == expected
    for rel in (
        "processed_clip_chunks/plain.mp4_1.json",
        "processed_clip_chunks/plain.mp4_2.json",
        "processed_videos/sub dir/sound #1.mp4.json",
    ):
        (run.out / rel).unlink()
    lost = [meta for meta in run.metas().values() if meta["duration_span"][0] in (8.0, 16.0, 18.0)]
    assert len(lost) == 3
    for meta in lost[:2]:
        (run.out / "metas" / "v0" / f"{meta['span_uuid']}.json").unlink()
    Path(lost[0]["clip_location"]).unlink()
    assert run.curate(*OPTIONS) == 1
    assert run.trees() == expected


def test_limit_advances_over_what_is_not_done(
    done: Curated, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = Curated.below(tmp_path, done.raw)
    limited = (*STRIDE, *SMALL_CHUNKS, "--limit", "1", "--limit_clips", "1")
    assert run.curate(*limited) == 0
    assert [Path(meta["source_video"]).name for meta in run.metas().values()] == ["plain.mp4"]
    assert run.curate(*limited) == 0, "the short video has no clip, and that is no failure"
    assert run.curate(*limited) == 0
    assert len(run.metas()) == 2
    assert run.read("processed_videos/plain.mp4.json")["uncovered"] == [[2.0, 21.0, "limit_clips"]]
    before = run.trees()
    assert run.curate(*STRIDE, *SMALL_CHUNKS, "--limit", "1", "--limit_clips", "5") == 1
    assert "limit_clips was 1 and is 5 now" in caplog.text
    assert run.metas().keys() == {path.stem for path in (run.out / "clips").iterdir()}
    assert len(run.metas()) == 2, "planned videos keep their clips"
    assert {rel for rel in before if "clips/" in rel} == {
        rel for rel in run.trees() if "clips/" in rel
    }


def test_odd_names_come_through(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    made = make_video(tmp_path / "made.mp4", VideoSpec(seconds=3, size=(64, 64)))
    names = [
        "with space.mp4",
        "quote'\".mp4",
        "hash#percent%20 co:lon%03d.mp4",
        "new\nline.mp4",
        "ünïcødé 影片.mp4",
        "n" * 200 + ".mp4",
        "-dash.mp4",
        "no_extension",
    ]
    for name in names:
        (raw / name).write_bytes(made.read_bytes())
    run = Curated.below(tmp_path, raw)
    # Asked for encoding: passing bytes through would not open the files by all ways.
    assert run.curate(*STRIDE, "--transcode_crf", "30") == 0
    assert {Path(meta["source_video"]).name for meta in run.metas().values()} == set(names)
    assert len(run.metas()) == 2 * len(names)
    for name in names:
        assert (run.out / "processed_clip_chunks" / f"{name}_0.json").is_file()


def test_ids_do_not_depend_on_the_folder_with_an_id_root(raw: Path, tmp_path: Path) -> None:
    runs = []
    for name in ("one", "two"):
        source = tmp_path / name / "raw"
        source.mkdir(parents=True)
        (source / "a.mp4").write_bytes((raw / "sub dir" / "sound #1.mp4").read_bytes())
        run = Curated.below(tmp_path / name, source)
        assert run.curate(*STRIDE, "--id_root", "s3://bucket/raw") == 0
        runs.append(run)
    assert runs[0].trees() == runs[1].trees()
    assert runs[0].metas().keys() == runs[1].metas().keys()
