"""Count each video's frames and divide it into segments."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import apache_beam as beam

from transforms.child_jobs import Begun, ChildJobs, Resources
from transforms.clips.fingerprints import fingerprint
from transforms.clips.local_index import local_index, share_index
from transforms.clips.source_copies import local_source, sources_folder
from transforms.clips.source_identity import source_identity
from transforms.errors import MediaError
from transforms.failures import write_failure
from transforms.layout import plan_uri, shots_uri
from transforms.media.child_messages import IndexJob, IndexReport, PoolReport
from transforms.progress import count
from transforms.records import Failure, ProbedVideo
from transforms.run_context import RunContext
from transforms.shots.detection_settings import DetectionSettings
from transforms.shots.score_windows import segments_of
from transforms.shots.video_segment import VideoSegment
from transforms.storage.interface import StorageError
from transforms.storage.open_storage import storage_for
from transforms.storage.uris import join


def video_segments(
    probed: ProbedVideo, num_frames: int, *, scores_folder: str, windows_per_segment: int
) -> list[VideoSegment]:
    """Return the segments of a video of so many frames, at least 1."""
    segments = segments_of(num_frames, windows_per_segment=windows_per_segment)
    return [
        VideoSegment(
            video=probed.video,
            facts=probed.facts,
            segment=segment,
            number=number,
            num_segments=len(segments),
            scores_uri=join(scores_folder, f"{number:05d}.npz"),
        )
        for number, segment in enumerate(segments)
    ]


def scores_folder(probed: ProbedVideo, settings: DetectionSettings, root: str) -> str:
    """Return where the scores of this file under these settings are stored.

    Raises:
        MediaError: The source cannot be read.
    """
    try:
        identity = source_identity(probed.video.uri)
    except StorageError as error:
        raise MediaError("unreadable", str(error)) from error
    key = fingerprint(
        {
            "scores": settings.scores_fingerprint,
            "source": identity,
            # A damaged video has another number of frames then.
            "keep_prefix": settings.keep_prefix,
        }
    )
    return shots_uri(root, probed.video.video_uuid, key)


@dataclass
class PlanSegments(beam.PTransform):
    """Make every video's packet index, in children, and emit its segments.

    Input: probed videos. Output: one record per segment; of a video that is planned already one
    record without a segment. A video whose packets cannot be read is written to ``failures/split``
    and ends here. Costs one reading of all packets per video that has no plan, no decoding.
    """

    settings: DetectionSettings
    context: RunContext

    def expand(self, videos: beam.PCollection[ProbedVideo]) -> beam.PCollection[VideoSegment]:
        """Attach the step."""
        step = beam.ParDo(_PlanSegments(self.settings, self.context))
        return videos | step.with_output_types(VideoSegment)


class _PlanSegments(ChildJobs):
    """One job per video without a plan: its packet index."""

    def __init__(self, settings: DetectionSettings, context: RunContext) -> None:
        super().__init__(settings.num_children, settings.limits, context)
        self._settings = settings

    def begin(self, element: ProbedVideo, resources: Resources) -> Iterator[VideoSegment | Begun]:
        video, root = element.video, self.context.root
        uri = plan_uri(root, video.video_uuid)
        if storage_for(uri).exists(uri):
            yield VideoSegment(video, element.facts)
            return
        try:
            folder = scores_folder(element, self._settings, root)
            source = local_source(video.uri, sources_folder(self.context))
            path = str(Path(resources.enter_context(source)).absolute())
        except (MediaError, StorageError) as error:
            reason = error.reason if isinstance(error, MediaError) else "unreadable"
            self._fail(element, Failure("split", reason, str(error)))
            return
        job = IndexJob(
            job_id=video.video_uuid,
            source=path,
            facts=element.facts,
            index_path=local_index(self.context, video.video_uuid),
            # Scores are stored behind the index that they were made with.
            is_made=next(iter(storage_for(folder).list(folder)), None) is not None,
            keep_prefix=self._settings.keep_prefix,
        )
        # Where scores lie is found out once: it takes reading parts of the source.
        yield Begun(job, (element, folder))

    def end(self, state: tuple[ProbedVideo, str], report: PoolReport) -> Iterator[VideoSegment]:
        assert isinstance(report, IndexReport)
        element, folder = state
        if report.failure is not None:
            self._fail(element, report.failure)
            return
        share_index(self.context, element.video.video_uuid)
        segments = video_segments(
            element,
            report.num_frames,
            scores_folder=folder,
            windows_per_segment=self._settings.windows_per_segment,
        )
        count(
            self.context.progress_folder,
            segments_planned=len(segments),
            seconds_of_index=report.seconds,
        )
        yield from segments

    def _fail(self, probed: ProbedVideo, failure: Failure) -> None:
        video = probed.video
        write_failure(
            self.context,
            failure,
            element_id=video.video_uuid,
            source={"video": video.uri, "rel": video.rel},
        )
