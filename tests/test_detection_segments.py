"""Detecting shots as a pipeline of its own: any division into segments is one pass."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from make_video import VideoSpec, make_video
from shot_videos import ShotVideo, make_shots

from transforms.clips.plan import make_plan, plan_to_json
from transforms.errors import MediaError
from transforms.json_files import create_json
from transforms.layout import packet_index_uri, plan_uri
from transforms.media.child_limits import ChildLimits
from transforms.media.packet_index import build_packet_index
from transforms.media.probe import probe
from transforms.progress import flush_counts, read_totals
from transforms.records import ProbedVideo, SplitVideo, Video
from transforms.run_context import RunContext
from transforms.shots.detect_shots import DetectShots
from transforms.shots.detection_options import ShotDetection
from transforms.shots.detection_settings import DetectionSettings
from transforms.shots.join_scenes import detected_video, join_scenes
from transforms.shots.plan_segments import video_segments
from transforms.shots.score_files import load_scores, save_scores
from transforms.shots.video_segment import VideoSegment

OPTIONS = ShotDetection(
    transnetv2_min_length_s=0, transnetv2_min_length_frames=1, transnetv2_crop_s=0
)


def settings(**changes: object) -> DetectionSettings:
    values: dict[str, object] = {
        "algorithm": "content",
        "options": OPTIONS,
        "limit_clips": 0,
        "scores_fingerprint": "0" * 16,
        "num_children": 2,
        "limits": ChildLimits(),
    }
    return DetectionSettings(**{**values, **changes})  # type: ignore[arg-type]


def context(folder: Path) -> RunContext:
    return RunContext(
        root=str(folder / "out"),
        run_id="",
        scratch=str(folder / "scratch"),
        progress_folder=str(folder / "progress"),
        stages=(),
        spans_fingerprint="0" * 16,
    )


def probed(path: Path) -> ProbedVideo:
    num_bytes = path.stat().st_size
    facts = probe(str(path), name=str(path), num_bytes=num_bytes)
    return ProbedVideo(Video(str(path), path.name, str(path), num_bytes), facts)


def detect(
    videos: Sequence[ProbedVideo], folder: Path, configured: DetectionSettings
) -> dict[str, SplitVideo]:
    """Run the stage and return what comes out of it by relative path."""
    found = folder / "found"
    found.mkdir(parents=True, exist_ok=True)
    with beam.Pipeline(options=PipelineOptions(["--runner=FnApiRunner"])) as root:
        _ = (
            root
            | beam.Create(videos)
            | DetectShots(configured, context(folder))
            | "Keep" >> beam.Map(_keep, str(found))
        )
    flush_counts()
    return {path.name: pickle.loads(path.read_bytes()) for path in found.iterdir()}


def _keep(split: SplitVideo, folder: str) -> None:
    with (Path(folder) / split.video.rel).open("xb") as file:
        pickle.dump(split, file)


def frames_detected(folder: Path) -> int:
    return int(read_totals(str(folder / "progress")).get("frames_detected", 0))


@pytest.fixture(scope="module")
def hard(tmp_path_factory: pytest.TempPathFactory) -> ProbedVideo:
    """Return a video of 430 frames, nine windows; cuts lie on, before and behind their edges."""
    folder = tmp_path_factory.mktemp("hard")
    video = ShotVideo((50, 49, 102, 99, 101, 29), keyframe_every=90)
    return probed(make_shots(folder / "hard.mp4", video))


@pytest.mark.parametrize("windows", [1, 2, 5, 40])
def test_any_division_gives_the_same_spans(windows: int, hard: ProbedVideo, tmp_path: Path) -> None:
    (split,) = detect([hard], tmp_path, settings(windows_per_segment=windows)).values()
    starts = [0, 50, 99, 201, 300, 401]
    assert [round(span.start_seconds * 25) for span in split.spans] == starts
    assert split.uncovered == ()
    stored = sorted((tmp_path / "out" / ".work" / "shots").rglob("*.npz"))
    assert [path.name for path in stored] == [f"{i:05d}.npz" for i in range(-(-9 // windows))]
    change = np.concatenate([load_scores(str(path))["change"] for path in stored])
    assert change.shape == (430,)
    assert np.flatnonzero(change > 15).tolist() == starts[1:]


def test_what_is_stored_is_not_decoded_again(hard: ProbedVideo, tmp_path: Path) -> None:
    configured = settings(windows_per_segment=1)
    before = detect([hard], tmp_path / "first", configured)
    stored = sorted((tmp_path / "first" / "out" / ".work" / "shots").rglob("*.npz"))
    missing = [stored[3], stored[7]]
    kept = {path: path.stat().st_mtime_ns for path in stored if path not in missing}
    for path in missing:
        path.unlink()
    decoded = frames_detected(tmp_path / "first")
    again = context(tmp_path / "first")
    for found in (tmp_path / "first" / "found").iterdir():
        found.unlink()
    assert detect([hard], tmp_path / "first", configured) == before
    # Frames [125, 225) from keyframe 90 on, and [325, 425) from keyframe 270 on, behind the
    # stream's first packet each.
    assert frames_detected(tmp_path / "first") - decoded == 1 + (225 - 90) + 1 + (425 - 270)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert not list(Path(again.scratch).rglob("*.npy"))


def test_a_planned_video_keeps_its_plan_and_is_not_opened(
    hard: ProbedVideo, tmp_path: Path
) -> None:
    split = SplitVideo(hard.video, hard.facts, (), ((0.0, 1.0, "crop"),), ((3, 7),))
    plan = make_plan(
        split, source_identity=f"1-{'0' * 64}", chunks=(), runs=(), spans_fingerprint="0" * 16
    )
    video_uuid = hard.video.video_uuid
    create_json(plan_uri(str(tmp_path / "out"), video_uuid), plan_to_json(plan))
    assert detect([hard], tmp_path, settings()) == {"hard.mp4": split}
    assert frames_detected(tmp_path) == 0
    assert not (tmp_path / "out" / ".work" / "index").exists()


def test_another_file_under_the_same_name_is_detected_anew(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    make_shots(path, ShotVideo((20, 30)))
    before = detect([probed(path)], tmp_path, settings())["a.mp4"]
    (tmp_path / "found" / "a.mp4").unlink()
    make_shots(path, ShotVideo((40, 20)))
    after = detect([probed(path)], tmp_path, settings())["a.mp4"]
    assert [round(span.start_seconds * 25) for span in before.spans] == [0, 20]
    assert [round(span.start_seconds * 25) for span in after.spans] == [0, 40]
    assert [span.end for span in after.spans][-1] is None


def test_a_video_that_breaks_off_counts_up_to_there(tmp_path: Path) -> None:
    path = tmp_path / "a.ts"
    make_video(path, VideoSpec(seconds=4, keyframe_every=25))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2 + 77])
    video = probed(path)
    (split,) = detect([video], tmp_path, settings(keep_prefix=True)).values()
    index = build_packet_index(str(path), video.facts, keep_prefix=True)
    assert 25 < index.num_whole < 75
    (span,) = split.spans
    assert round(span.end_seconds * 25) == index.num_whole
    assert split.uncovered == ((index.num_whole / 25, len(index.pts) / 25, "damaged"),)


def join(segments: Sequence[VideoSegment], folder: Path) -> SplitVideo:
    detected = detected_video(("key", segments))
    return join_scenes(detected, settings(), context(folder))


def stored_segments(video: ProbedVideo, folder: Path) -> list[VideoSegment]:
    """Return the segments of a video of 430 frames whose scores and index are stored."""
    segments = video_segments(video, 430, scores_folder=str(folder), windows_per_segment=4)
    for segment in segments:
        assert segment.segment is not None
        start, end = segment.segment.scored
        save_scores(segment.scores_uri, {"change": np.zeros(end - start, np.float32)})
    path = Path(packet_index_uri(str(folder / "out"), video.video.video_uuid))
    path.parent.mkdir(parents=True)
    build_packet_index(video.video.uri, video.facts).save(path)
    return segments


def test_segments_join_in_any_order_and_twice(hard: ProbedVideo, tmp_path: Path) -> None:
    segments = stored_segments(hard, tmp_path)
    (span,) = join([segments[2], segments[0], segments[1], segments[0]], tmp_path).spans
    assert (span.start_seconds, span.end_seconds, span.end) == (0.0, 430 / 25, None)


def test_a_lost_segment_fails_the_video(hard: ProbedVideo, tmp_path: Path) -> None:
    segments = stored_segments(hard, tmp_path)
    with pytest.raises(MediaError, match=r"hard\.mp4: 1 of 3 segments were lost") as raised:
        join([segments[0], segments[2]], tmp_path)
    assert raised.value.reason == "segment_missing"


def test_lost_scores_fail_the_video(hard: ProbedVideo, tmp_path: Path) -> None:
    segments = stored_segments(hard, tmp_path)
    Path(segments[1].scores_uri).unlink()
    with pytest.raises(MediaError, match=r"00001\.npz") as raised:
        join(segments, tmp_path)
    assert raised.value.reason == "segment_missing"


def test_half_a_file_of_scores_fails_the_video(hard: ProbedVideo, tmp_path: Path) -> None:
    segments = stored_segments(hard, tmp_path)
    path = Path(segments[1].scores_uri)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(MediaError, match="remove it and run again") as raised:
        join(segments, tmp_path)
    assert raised.value.reason == "unreadable"
