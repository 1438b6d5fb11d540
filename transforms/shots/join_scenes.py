"""Join the segments of each video: its scores become shots, its shots become spans."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

import apache_beam as beam
import numpy as np
from numpy.typing import NDArray

from transforms.clips.local_index import local_index
from transforms.clips.plan import read_plan
from transforms.errors import MediaError
from transforms.failures import skip_failed
from transforms.layout import plan_uri
from transforms.media.packet_index import PacketIndex
from transforms.progress import count
from transforms.records import SplitVideo, Video
from transforms.run_context import RunContext
from transforms.shots.boundaries import boundaries_at, boundaries_with_transitions
from transforms.shots.content_change import shots_by_change
from transforms.shots.detection_settings import DetectionSettings
from transforms.shots.hybrid import changes_of, hybrid_boundaries
from transforms.shots.scene_spans import Piece, spans_of, uncovered_seconds, video_pieces
from transforms.shots.scenes import Scene, scenes_between, upstream_scenes
from transforms.shots.score_files import load_scores
from transforms.shots.video_segment import VideoSegment
from transforms.storage.interface import StorageError


@dataclass(frozen=True)
class DetectedVideo:
    """All segments of a video, in order."""

    video: Video
    segments: tuple[VideoSegment, ...]


def detected_video(keyed: tuple[str, Iterable[VideoSegment]]) -> DetectedVideo:
    """Return the segments of one video in order; of what came twice, one."""
    by_number = {segment.number: segment for segment in keyed[1]}
    segments = tuple(by_number[number] for number in sorted(by_number))
    return DetectedVideo(segments[0].video, segments)


def join_scenes(
    detected: DetectedVideo, settings: DetectionSettings, context: RunContext
) -> SplitVideo:
    """Return the video with its spans; one that is planned keeps its plan's.

    Raises:
        MediaError: A segment failed (its reason), is missing (``segment_missing``), or the video
            has no frame rate (``no_duration``).
    """
    started = time.thread_time()
    first = detected.segments[0]
    if first.segment is None:
        return _planned(first, context)
    if first.facts.average_rate <= 0:
        raise MediaError("no_duration", f"{first.video.uri}: its frame rate is not known")
    scores = _joined_scores(detected)
    scenes, transitions = find_scenes(scores, settings)
    pts = PacketIndex.load(local_index(context, first.video.video_uuid)).pts
    num_frames = first.segment.num_frames
    pieces = video_pieces(
        scenes,
        settings.scene_limits(float(first.facts.average_rate)),
        num_frames=num_frames,
        limit_clips=settings.limit_clips,
    )
    if num_frames < len(pts):
        pieces.append((num_frames, len(pts), "damaged"))
    split = split_at(pieces, first, pts, transitions)
    count(context.progress_folder, seconds_of_join=time.thread_time() - started)
    return split


def split_at(
    pieces: list[Piece],
    segment: VideoSegment,
    pts: NDArray[np.int64],
    transitions: tuple[Scene, ...],
) -> SplitVideo:
    """Return the video of this segment, divided into these pieces."""
    video, facts = segment.video, segment.facts
    return SplitVideo(
        video=video,
        facts=facts,
        spans=spans_of(pieces, facts, pts, source_id=video.source_id),
        uncovered=uncovered_seconds(pieces, facts),
        transitions=transitions,
    )


def find_scenes(
    scores: dict[str, NDArray[np.float32]], settings: DetectionSettings
) -> tuple[list[Scene], tuple[Scene, ...]]:
    """Return the scenes of a video and the gradual transitions between them.

    Args:
        scores: As they are stored, of all frames.
        settings: Algorithm and thresholds.
    """
    options = settings.options
    if settings.algorithm == "content":
        shots = shots_by_change(scores["change"], threshold=options.content_threshold)
        return shots, ()
    both = np.stack([scores["one_hot"], scores["many_hot"]], 1)
    threshold = options.transnetv2_threshold
    if settings.algorithm == "hybrid":
        is_boundary = hybrid_boundaries(both, changes_of(scores), threshold=threshold)
    else:
        is_boundary = boundaries_at(both, threshold=threshold)
    if options.transnetv2_compat:
        return upstream_scenes(is_boundary.tolist()), ()
    found = boundaries_with_transitions(is_boundary, both)
    return scenes_between(found.frames.tolist()), found.transitions


def _planned(segment: VideoSegment, context: RunContext) -> SplitVideo:
    plan = read_plan(plan_uri(context.root, segment.video.video_uuid))
    return SplitVideo(segment.video, plan.facts, plan.spans, plan.uncovered, plan.transitions)


def _joined_scores(detected: DetectedVideo) -> dict[str, NDArray[np.float32]]:
    uri, segments = detected.video.uri, detected.segments
    for segment in segments:
        if segment.failure is not None:
            raise MediaError(segment.failure.reason, segment.failure.message)
    missing = set(range(segments[0].num_segments)) - {segment.number for segment in segments}
    if missing:
        raise MediaError(
            "segment_missing",
            f"{uri}: {len(missing)} of {segments[0].num_segments} segments were lost between "
            "decoding and joining; run again with --retry_failed",
        )
    try:
        parts = [load_scores(segment.scores_uri) for segment in segments]
    except StorageError as error:
        raise MediaError("segment_missing", f"{uri}: {error}; run again") from error
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    num_frames = segments[0].segment.num_frames if segments[0].segment else 0
    if any(len(values) != num_frames for values in joined.values()):
        raise MediaError("segment_missing", f"{uri}: its stored scores are not of all frames")
    return joined


@dataclass
class JoinScenes(beam.PTransform):
    """Bring each video's segments together and decide where to cut.

    Input: segments. Output: one SplitVideo per video. A video with a failed or missing segment is
    written to ``failures/split``. The one barrier of detection: a video waits for all its segments.
    """

    settings: DetectionSettings
    context: RunContext

    def expand(self, segments: beam.PCollection[VideoSegment]) -> beam.PCollection[SplitVideo]:
        """Attach the join."""
        settings, context = self.settings, self.context
        return (
            segments
            | beam.Map(_by_video).with_output_types(tuple[str, VideoSegment])
            | beam.GroupByKey()
            | beam.Map(detected_video).with_output_types(DetectedVideo)
            | "DecideScenes"
            >> beam.FlatMap(
                skip_failed("split", lambda one: join_scenes(one, settings, context), context)
            ).with_output_types(SplitVideo)
        )


def _by_video(segment: VideoSegment) -> tuple[str, VideoSegment]:
    return segment.video.video_uuid, segment
