"""Looks at the inputs as a run would and changes nothing: what is there, what is left to do."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from beam_pipeline.configuration.config import CurateConfig, SplitConfig
from beam_pipeline.estimate.calibration import calibrate
from beam_pipeline.estimate.network_cost import NetworkCost, network_cost
from beam_pipeline.estimate.prediction import Prediction, predict, with_detection
from beam_pipeline.preparation.prepare import PreparedSplit
from transforms.clips.plan import read_plan
from transforms.errors import MediaError
from transforms.ingest.list_videos import Listing
from transforms.ingest.probe_videos import probe_video
from transforms.ingest.select_videos import Selection
from transforms.layout import chunk_record_uri, plan_uri
from transforms.media.child_lane import LiveChildren
from transforms.media.probing import Prober
from transforms.media.slots import num_slots
from transforms.records import ProbedVideo, SplitVideo, Video
from transforms.run_context import RunContext
from transforms.scratch import scratch_root
from transforms.shots.detection_settings import WINDOWS_PER_SEGMENT
from transforms.shots.fixed_stride import split_fixed_stride
from transforms.shots.splitting import Splitting
from transforms.storage.open_storage import storage_for

VIDEOS_PER_CHILD = 32
"""Another child to probe with is worth its start for so many videos."""


class Looker:
    """What looks at inputs ahead of a run: children that probe, and a folder for trial cuts.

    Args:
        prober: Probes, in as many threads as ``num_threads``.
        scratch: The folder.
        num_threads: At least 1.
        children: The run's own, which cut for trial as well; None: other ones do.
    """

    def __init__(
        self, prober: Prober, scratch: Path, num_threads: int, children: LiveChildren | None
    ) -> None:
        self.prober = prober
        self.scratch = scratch
        self.num_threads = num_threads
        self.children = children


@contextlib.contextmanager
def open_looker(
    config: SplitConfig | CurateConfig,
    prepared: PreparedSplit,
    *,
    num_videos: int,
    children: LiveChildren | None = None,
) -> Iterator[Looker]:
    """Yield what looks at so many videos; its folder is gone afterwards.

    Args:
        config: The run's configuration.
        prepared: What follows from it.
        num_videos: How many are probed.
        children: Those that the run has afterwards. None: ones that are gone afterwards.
    """
    root = scratch_root(config.run.scratch_path)
    root.mkdir(parents=True, exist_ok=True)
    num_children = min(num_slots(), 1 + num_videos // VIDEOS_PER_CHILD)
    with tempfile.TemporaryDirectory(prefix="plan-", dir=root) as folder:
        scratch = Path(folder)
        limits = prepared.cut.limits
        probing = scratch / "probing"
        with Prober(probing, limits, num_children=num_children, children=children) as prober:
            yield Looker(prober, scratch, num_children, children)


@dataclass(frozen=True)
class Outlook:
    """What a run of ``split`` finds."""

    listing: Listing
    num_done: int
    """Inputs that need nothing more."""
    num_waiting: int
    """Inputs beyond ``limit``, or failed before."""
    splits: tuple[SplitVideo, ...]
    """The videos that the run would work on, with all their planned clips; where shots are to be
    found first, clips of one length stand in for what is not known yet."""
    to_detect: tuple[SplitVideo, ...]
    """Those of them in which shots are to be found."""
    left: tuple[SplitVideo, ...]
    """The same without the clips of chunks that are committed."""
    failures: tuple[tuple[str, MediaError], ...]
    """(relative path, error) of videos that cannot be probed or split."""


def look_ahead(
    config: SplitConfig | CurateConfig,
    prepared: PreparedSplit,
    selection: Selection,
    looker: Looker,
) -> Outlook:
    """Return what a run on this selection would find; reads headers and records, writes nothing.

    Raises:
        UsageError: No input is given, or a listed path lies outside it.
        StorageError: The input or the output cannot be read.
    """
    context = prepared.context
    splits: list[SplitVideo] = []
    failures: list[tuple[str, MediaError]] = []
    with ThreadPoolExecutor(looker.num_threads) as pool:
        found = pool.map(
            lambda video: _split(video, config.splitting, looker.prober, context), selection.videos
        )
        for video, split in zip(selection.videos, found, strict=True):
            if isinstance(split, MediaError):
                failures.append((video.rel, split))
            else:
                splits.append(split)
    return Outlook(
        listing=selection.listing,
        num_done=selection.num_done,
        num_waiting=selection.num_waiting,
        splits=tuple(splits),
        to_detect=tuple(
            split
            for split in splits
            if prepared.detection is not None and not _has_plan(split.video, context)
        ),
        left=tuple(_without_done(split, context) for split in splits),
        failures=tuple(failures),
    )


def predict_split(
    config: SplitConfig | CurateConfig,
    prepared: PreparedSplit,
    outlook: Outlook,
    looker: Looker,
    *,
    start_seconds: float = 0.0,
) -> Prediction:
    """Return what the run will make and take, after about two seconds of cutting real inputs.

    Args:
        config: The run's configuration.
        prepared: What follows from it.
        outlook: What :func:`look_ahead` found.
        looker: As for it.
        start_seconds: What the run takes before its graph starts.
    """
    videos = [ProbedVideo(split.video, split.facts) for split in outlook.left if split.spans]
    calibration = calibrate(videos, prepared.cut, looker.scratch, looker.prober, looker.children)
    prediction = predict(
        outlook.left,
        calibration=calibration,
        chunking=config.chunking,
        may_pass_through=prepared.cut.encode.passthrough,
        fixed_seconds=start_seconds + runner_seconds(),
    )
    return with_detection(
        prediction,
        outlook.to_detect,
        calibration=calibration,
        network=_network_cost(prepared, outlook),
        windows_per_segment=WINDOWS_PER_SEGMENT,
    )


def _network_cost(prepared: PreparedSplit, outlook: Outlook) -> NetworkCost | None:
    detection = prepared.detection
    if detection is None or detection.weights is None or not outlook.to_detect:
        return None
    return network_cost(detection.weights.path, detection.num_children)


def runner_seconds() -> float:
    """Return how long the local runner takes for a graph that does nothing."""
    started_at = time.monotonic()
    import apache_beam as beam  # noqa: PLC0415 - two seconds that --help does not need

    from runners import direct  # noqa: PLC0415

    def build(root: beam.Pipeline) -> None:
        _ = root | beam.Create([0]) | beam.Reshuffle() | beam.Map(lambda number: number)

    direct.run(build, [])
    return time.monotonic() - started_at


def _split(
    video: Video, config: Splitting, prober: Prober, context: RunContext
) -> SplitVideo | MediaError:
    try:
        probed = probe_video(video, prober, context)
        if not config.detects_shots or not _has_plan(video, context):
            return split_fixed_stride(probed, config)
    except MediaError as error:
        return error
    return SplitVideo(
        video, probed.facts, read_plan(plan_uri(context.root, video.video_uuid)).spans
    )


def _has_plan(video: Video, context: RunContext) -> bool:
    uri = plan_uri(context.root, video.video_uuid)
    return storage_for(uri).exists(uri)


def _without_done(split: SplitVideo, context: RunContext) -> SplitVideo:
    uri = plan_uri(context.root, split.video.video_uuid)
    if not storage_for(uri).exists(uri):
        return split
    plan = read_plan(uri)
    open_chunks = _open_chunks(context, split.video.rel, len(plan.chunks))
    spans = [span for index in open_chunks for span in plan.chunk_spans(index)]
    return replace(split, spans=tuple(spans))


def _open_chunks(context: RunContext, rel: str, num_chunks: int) -> Iterator[int]:
    for index in range(num_chunks):
        uri = chunk_record_uri(context.root, rel, index)
        if not storage_for(uri).exists(uri):
            yield index


def total_seconds(splits: Sequence[SplitVideo]) -> float:
    """Return how long these videos are together, in seconds."""
    return sum(split.facts.duration_seconds for split in splits)
