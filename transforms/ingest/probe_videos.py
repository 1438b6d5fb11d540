"""Read what each video's container says, without decoding."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import apache_beam as beam

from transforms.child_jobs import child_scratch
from transforms.clips.plan import read_plan
from transforms.failures import skip_failed
from transforms.layout import plan_uri
from transforms.media.child_limits import ChildLimits
from transforms.media.probing import Prober
from transforms.media.shared_children import shared_children
from transforms.progress import count
from transforms.records import ProbedVideo, Video
from transforms.run_context import RunContext
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
    """Probes one video after the other in a child that the other steps of the process use too."""

    def __init__(self, limits: ChildLimits, context: RunContext) -> None:
        self._limits = limits
        self._context = context
        self._prober: Prober | None = None
        self._held = contextlib.ExitStack()

    def process(self, video: Video) -> Iterator[ProbedVideo]:
        yield from skip_failed("probe", self._probe_and_count, self._context)(video)

    def teardown(self) -> None:
        # Called also after an exception of a later step, which skips finish_bundle.
        self._prober = None
        self._held.close()

    def _probe_and_count(self, video: Video) -> ProbedVideo:
        prober = self._open_prober()
        before = prober.seconds
        probed = probe_video(video, prober, self._context)
        count(
            self._context.progress_folder,
            videos_probed=1,
            seconds_of_probe=prober.seconds - before,
            seconds_found=probed.facts.duration_seconds,
        )
        return probed

    def _open_prober(self) -> Prober:
        if self._prober is None:
            scratch = child_scratch(self._context)
            children = self._held.enter_context(shared_children(scratch, self._limits))
            prober = Prober(scratch, self._limits, children=children)
            self._prober = self._held.enter_context(prober)
        return self._prober
