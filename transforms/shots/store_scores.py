"""Store what was found out about each segment, before anything else is done with it."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np

from transforms.faults import kill_at
from transforms.progress import count
from transforms.records import Failure
from transforms.run_context import RunContext
from transforms.shots.content_change import content_change
from transforms.shots.frame_changes import frame_changes
from transforms.shots.score_files import ScoreArrays, save_scores
from transforms.shots.score_windows import Frames, Scores
from transforms.shots.video_segment import VideoSegment


def change_scores(segment: VideoSegment) -> ScoreArrays:
    """Return how much each frame that the segment owns differs from the one before it."""
    return _owned(segment, {"change": content_change(_small_frames(segment))})


def frame_changes_of(segment: VideoSegment) -> ScoreArrays:
    """Return what small frames tell about each frame that the segment owns."""
    return _owned(segment, frame_changes(_small_frames(segment))._asdict())


def _small_frames(segment: VideoSegment) -> Frames:
    frames: Frames = np.load(segment.frames_path, mmap_mode="r", allow_pickle=False)
    return frames


def _owned(segment: VideoSegment, found: ScoreArrays) -> ScoreArrays:
    """Return what was found of all frames that the segment sees, for those that it scores."""
    assert segment.segment is not None
    first_seen = segment.segment.seen[0]
    start, end = (frame - first_seen for frame in segment.segment.scored)
    return {name: values[start:end] for name, values in found.items()}


def network_scores(scores: Scores) -> ScoreArrays:
    """Return the two columns of a model's scores by name."""
    return {"one_hot": scores[:, 0], "many_hot": scores[:, 1]}


def store_scores(
    scored: tuple[VideoSegment, Any], context: RunContext, *, with_changes: bool
) -> VideoSegment:
    """Store the scores of a segment that was decoded and drop its frames.

    Args:
        scored: The segment, and a model's scores of it, ``(T, 2)``, or its ``ModelError``; None
            where no model is asked.
        context: The run.
        with_changes: Whether what the frames themselves tell is stored beside a model's scores.
    """
    segment, answer = scored
    if not segment.frames_path:
        return segment
    if answer is not None and not isinstance(answer, np.ndarray):
        message = f"{segment.video.uri}: {answer.message}"
        segment = dataclasses.replace(segment, failure=Failure("split", "model", message))
    else:
        started = time.thread_time()
        found = change_scores(segment) if answer is None else network_scores(answer)
        if with_changes:
            found = {**found, **frame_changes_of(segment)}
        save_scores(segment.scores_uri, found)
        kill_at("segment_scored", f"{segment.video.rel}#{segment.number}")
        seconds = time.thread_time() - started
        count(context.progress_folder, segments_scored=1, seconds_of_changes=seconds)
    # Another attempt at the bundle may have removed it.
    Path(segment.frames_path).unlink(missing_ok=True)
    return dataclasses.replace(segment, frames_path="")


@dataclass
class StoreScores(beam.PTransform):
    """Store each segment's scores, so that no other run makes them again.

    Input: pairs of a segment and a model's answer. Output: the segments.
    """

    context: RunContext
    with_changes: bool = False
    """Whether what the frames themselves tell is stored beside a model's scores."""

    def expand(
        self, scored: beam.PCollection[tuple[VideoSegment, Any]]
    ) -> beam.PCollection[VideoSegment]:
        """Attach the step."""
        step = beam.Map(store_scores, self.context, with_changes=self.with_changes)
        return scored | step.with_output_types(VideoSegment)
