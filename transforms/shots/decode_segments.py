"""Decode each segment to small frames, in children, several segments at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import apache_beam as beam

from transforms.child_jobs import Begun, ChildJobs, Resources
from transforms.clips.local_index import local_index
from transforms.clips.source_copies import local_source, sources_folder
from transforms.media.child_messages import FramesJob, FramesReport, PoolReport
from transforms.progress import count
from transforms.records import Failure
from transforms.run_context import RunContext
from transforms.shots.detection_settings import DetectionSettings
from transforms.shots.video_segment import VideoSegment
from transforms.storage.interface import StorageError
from transforms.storage.open_storage import storage_for


@dataclass
class DecodeSegments(beam.PTransform):
    """Make the small frames of every segment that has no scores yet.

    Input: segments. Output: the same, one for one, as they finish; those that were decoded carry
    the path of their frames in the worker's scratch folder, which whoever scores them removes.
    A segment that cannot be decoded carries a failure.
    """

    settings: DetectionSettings
    context: RunContext

    def expand(self, segments: beam.PCollection[VideoSegment]) -> beam.PCollection[VideoSegment]:
        """Attach the step."""
        step = beam.ParDo(_DecodeSegments(self.settings, self.context))
        return segments | step.with_output_types(VideoSegment)


class _DecodeSegments(ChildJobs):
    """One job per segment without scores: its small frames."""

    def __init__(self, settings: DetectionSettings, context: RunContext) -> None:
        super().__init__(settings.num_children, settings.limits, context)
        self._all_pixels = settings.options.transnetv2_compat

    def begin(self, element: VideoSegment, resources: Resources) -> Iterator[VideoSegment | Begun]:
        segment, video = element.segment, element.video
        if segment is None:
            yield element
            return
        if storage_for(element.scores_uri).exists(element.scores_uri):
            count(self.context.progress_folder, segments_scored=1)
            yield element
            return
        try:
            source = local_source(video.uri, sources_folder(self.context))
            path = str(Path(resources.enter_context(source)).absolute())
        except StorageError as error:
            failure = Failure("split", "unreadable", str(error))
            yield dataclasses.replace(element, failure=failure)
            return
        job_id = f"{video.video_uuid}-{element.number}"
        frames_path = str((self.scratch / "frames" / f"{job_id}.npy").absolute())
        job = FramesJob(
            job_id=job_id,
            source=path,
            facts=element.facts,
            index_path=local_index(self.context, video.video_uuid),
            frames=segment.seen,
            all_pixels=self._all_pixels,
            path=frames_path,
        )
        yield Begun(job, dataclasses.replace(element, frames_path=frames_path))

    def end(self, state: VideoSegment, report: PoolReport) -> Iterator[VideoSegment]:
        assert isinstance(report, FramesReport)
        count(
            self.context.progress_folder,
            frames_detected=report.num_decoded,
            seconds_of_frames=report.seconds,
        )
        if report.failure is not None:
            yield dataclasses.replace(state, frames_path="", failure=report.failure)
            return
        yield state
