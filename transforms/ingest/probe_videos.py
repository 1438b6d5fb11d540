"""Read what each video's container says, without decoding."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

import apache_beam as beam

from transforms.clips.plan import read_plan
from transforms.failures import skip_failed
from transforms.layout import plan_uri
from transforms.media.child_limits import ChildLimits
from transforms.media.probing import Prober
from transforms.progress import count
from transforms.records import ProbedVideo, Video
from transforms.run_context import RunContext
from transforms.scratch import scratch_here
from transforms.storage.open_storage import storage_for


def probe_video(video: Video, prober: Prober, context: RunContext) -> ProbedVideo:
    """Return the video with its facts: those of its plan, else those that a probe finds.

    The source of a planned video is not read here: it may be gone when all is cut from it.

    Raises:
        MediaError: The file cannot be read, is no media file, has no usable video stream, or ended
            two processes that probed it (``crash``, ``hang``, ``memory``).
        CurateError: No process can probe here.
    """
    uri = plan_uri(context.root, video.video_uuid)
    if storage_for(uri).exists(uri):
        return ProbedVideo(video, read_plan(uri).facts)
    return ProbedVideo(video, prober.probe(video))


@dataclass
class ProbeVideos(beam.PTransform):
    """Probe every video, in a child process.

    Input: videos. Output: one ProbedVideo each; a video that fails is written to
    ``failures/probe`` and ends here. Costs a few ranged reads per video without a plan.
    """

    limits: ChildLimits
    context: RunContext

    def expand(self, videos: beam.PCollection[Video]) -> beam.PCollection[ProbedVideo]:
        """Attach the probe."""
        probe = beam.ParDo(_ProbeVideos(self.limits, self.context))
        return videos | probe.with_output_types(ProbedVideo)


class _ProbeVideos(beam.DoFn):
    """Holds one child, started for the first video of a bundle that needs it."""

    def __init__(self, limits: ChildLimits, context: RunContext) -> None:
        self._limits = limits
        self._context = context
        self._prober: Prober | None = None

    def process(self, video: Video) -> Iterator[ProbedVideo]:
        yield from skip_failed("probe", self._probe_and_count, self._context)(video)

    def finish_bundle(self) -> None:
        # A worker's videos are one bundle, or a few: what follows is hours of cutting beside the
        # child.
        if self._prober is not None:
            self._prober.end_children()

    def teardown(self) -> None:
        # Called also after an exception of a later step, which skips finish_bundle.
        if self._prober is not None:
            self._prober.close()
            self._prober = None

    def _probe_and_count(self, video: Video) -> ProbedVideo:
        if self._prober is None:
            scratch = scratch_here(self._context.scratch) / f"worker-{os.getpid()}"
            self._prober = Prober(scratch, self._limits)
        before = self._prober.seconds
        probed = probe_video(video, self._prober, self._context)
        count(
            self._context.progress_folder,
            videos_probed=1,
            seconds_of_probe=self._prober.seconds - before,
            seconds_found=probed.facts.duration_seconds,
        )
        return probed
