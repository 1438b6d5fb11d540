"""Ask TransNetV2 about each decoded segment. Only graphs that need it import this: Beam's inference
imports torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from apache_beam.ml.inference.base import KeyedModelHandler, RunInference

from transforms.models.transnetv2 import SegmentFrames, TransNetV2Handler
from transforms.run_context import RunContext
from transforms.shots.detection_settings import DetectionSettings
from transforms.shots.video_segment import VideoSegment


@dataclass
class ScoreSegments(beam.PTransform):
    """Score every segment that has frames.

    Input: segments. Output: pairs of each segment and its scores, ``(T, 2)``; None for those
    without frames, which the model is not asked about.
    """

    settings: DetectionSettings
    context: RunContext

    def expand(
        self, segments: beam.PCollection[VideoSegment]
    ) -> beam.PCollection[tuple[VideoSegment, Any]]:
        """Attach the model."""
        weights = self.settings.weights
        assert weights is not None
        handler = TransNetV2Handler(
            weights.path,
            num_threads=self.settings.num_children,
            progress_folder=self.context.progress_folder,
        )
        pad_end = not self.settings.options.transnetv2_compat
        return (
            segments
            | beam.Map(_with_example, pad_end).with_output_types(
                tuple[VideoSegment, SegmentFrames | None]
            )
            | RunInference(KeyedModelHandler(handler))
        )


def _with_example(
    segment: VideoSegment, pad_end: bool
) -> tuple[VideoSegment, SegmentFrames | None]:
    if segment.segment is None or not segment.frames_path:
        return segment, None
    return segment, SegmentFrames(segment.segment, segment.frames_path, pad_end)
