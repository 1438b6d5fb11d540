"""Find where shots change and cut there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import apache_beam as beam

from transforms.records import ProbedVideo, SplitVideo
from transforms.run_context import RunContext
from transforms.shots.decode_segments import DecodeSegments
from transforms.shots.detection_settings import DetectionSettings
from transforms.shots.join_scenes import JoinScenes
from transforms.shots.plan_segments import PlanSegments
from transforms.shots.store_scores import StoreScores
from transforms.shots.video_segment import VideoSegment


@dataclass
class DetectShots(beam.PTransform):
    """Give every video spans between its shot boundaries.

    Input: probed videos. Output: one SplitVideo each, possibly without spans (all shots too
    short). A video that cannot be decoded from end to end is written to ``failures/split``; the
    source of a planned video is not read. Every other video is decoded once; segments of long
    videos spread over all workers. What is scored is stored at once and not scored again by a
    later run.
    """

    settings: DetectionSettings
    context: RunContext

    def expand(self, videos: beam.PCollection[ProbedVideo]) -> beam.PCollection[SplitVideo]:
        """Attach the steps."""
        settings, context = self.settings, self.context
        decoded = (
            videos
            | PlanSegments(settings, context)
            | beam.Reshuffle()
            | DecodeSegments(settings, context)
        )
        return (
            self._scored(decoded)
            | StoreScores(context, settings.algorithm == "hybrid")
            | JoinScenes(settings, context)
        )

    def _scored(
        self, segments: beam.PCollection[VideoSegment]
    ) -> beam.PCollection[tuple[VideoSegment, Any]]:
        if self.settings.algorithm == "content":
            return segments | "WithoutModel" >> beam.Map(_without_model)
        # Imports torch: 500 MiB a process that others need not pay.
        from transforms.shots.score_segments import ScoreSegments  # noqa: PLC0415

        return segments | ScoreSegments(self.settings, self.context)


def _without_model(segment: VideoSegment) -> tuple[VideoSegment, None]:
    return segment, None
