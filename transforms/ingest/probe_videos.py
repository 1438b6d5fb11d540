"""Read what each video's container says, without decoding."""

from __future__ import annotations

from dataclasses import dataclass

import apache_beam as beam

from transforms.errors import MediaError
from transforms.failures import skip_failed
from transforms.media.probe import probe
from transforms.progress import count
from transforms.records import ProbedVideo, Video
from transforms.run_context import RunContext
from transforms.storage.interface import StorageError
from transforms.storage.open_storage import storage_for


def probe_video(video: Video) -> ProbedVideo:
    """Return the video with its facts.

    Raises:
        MediaError: The file cannot be read, is no media file, or has no usable video stream.
    """
    try:
        with storage_for(video.uri).open_seekable(video.uri) as file:
            facts = probe(file, name=video.uri, num_bytes=video.num_bytes)
    except StorageError as error:
        raise MediaError("unreadable", str(error)) from error
    return ProbedVideo(video, facts)


@dataclass
class ProbeVideos(beam.PTransform):
    """Probe every video.

    Input: videos. Output: one ProbedVideo each; a video that fails is written to
    ``failures/probe`` and ends here. Costs a few ranged reads per video.
    """

    context: RunContext

    def expand(self, videos: beam.PCollection[Video]) -> beam.PCollection[ProbedVideo]:
        """Attach the probe."""
        return videos | beam.FlatMap(
            skip_failed("probe", self._probe_and_count, self.context)
        ).with_output_types(ProbedVideo)

    def _probe_and_count(self, video: Video) -> ProbedVideo:
        probed = probe_video(video)
        count(
            self.context.progress_folder,
            videos_probed=1,
            seconds_found=probed.facts.duration_seconds,
        )
        return probed
