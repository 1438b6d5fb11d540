"""Measures, for about two seconds, how fast this machine cuts the actual inputs."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from transforms.clips.cut_settings import CutSettings
from transforms.errors import MediaError
from transforms.media.child_lane import LiveChildren
from transforms.media.children import ChildPool, ClipReport, CutJob, JobClip, JobDone
from transforms.media.clip_files import discard
from transforms.media.probing import Prober
from transforms.records import ProbedVideo, VideoFacts
from transforms.storage.uris import scheme_of

SAMPLE_SECONDS = Fraction(1)
"""Cut from each sample; four of them take about two seconds on two cores."""
START_SECONDS = Fraction(1, 10)
"""Cut only to have the children started."""
MAX_SAMPLES = 4
SMALL_FILE_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Rate:
    """What one sample of the inputs cost."""

    codec: str
    pixels: int
    """Width times height."""
    cut_seconds_per_frame: float
    """Processor time to read packet times, decode and encode."""
    look_seconds_per_frame: float
    """Processor time to decode the clip and measure it."""
    bytes_per_second: float
    """Bytes of clip per second of video."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """How fast this machine is now."""

    rates: tuple[Rate, ...]
    start_seconds: float
    """Until the children were there; 0 where the run has the same ones."""
    slowdown: float
    """Wall time over processor time with all children at work; at least 1."""
    num_children: int


@dataclass(frozen=True, slots=True)
class _Sample:
    path: Path
    facts: VideoFacts


def calibrate(
    videos: Sequence[ProbedVideo],
    cut: CutSettings,
    scratch: Path,
    prober: Prober,
    children: LiveChildren | None = None,
) -> Calibration:
    """Return how fast this machine cuts and looks at videos like these.

    A stretch from the middle of up to four videos (one for each codec and size, those that there
    is most of) goes through the children that a run has, with the run's encoder and observers.

    Args:
        videos: The inputs; files in ``scratch`` are the only ones that are written.
        cut: The run's settings.
        scratch: Empty local folder; the caller removes it.
        prober: Reads the inputs.
        children: The run's own. None: ones that are ended, as those of the run will start anew.
    """
    samples = [
        sample
        for number, video in enumerate(representatives(videos))
        if (sample := _take_sample(video, scratch / f"sample-{number}.mkv", prober)) is not None
    ]
    if not samples:
        return Calibration((), 0.0, 1.0, cut.num_children)
    if children is None:
        prober.end_children()
    # Every child has work, as in the run: children share caches and memory, not only cores.
    samples *= -(-cut.num_children // len(samples))
    folder = scratch / "children" if children is None else children.scratch
    with ChildPool(folder, cut.num_children, limits=cut.limits, children=children) as pool:
        round_ = _Round(pool, cut, scratch)
        start_seconds, _ = round_.run(samples[: cut.num_children], START_SECONDS)
        wall, measured = round_.run(samples, SAMPLE_SECONDS)
    ideal = makespan([one.total for one in measured], cut.num_children)
    return Calibration(
        rates=tuple(one.rate for one in measured if one.rate is not None),
        start_seconds=start_seconds if children is None else 0.0,
        slowdown=max(1.0, wall / ideal) if ideal else 1.0,
        num_children=cut.num_children,
    )


def representatives(videos: Sequence[ProbedVideo]) -> list[ProbedVideo]:
    """Return one video of each codec and size, at most four, most pixels to cut first."""
    weights: dict[tuple[str, int], float] = {}
    longest: dict[tuple[str, int], ProbedVideo] = {}
    for video in videos:
        facts = video.facts
        key = (facts.codec, pixels(facts))
        weights[key] = weights.get(key, 0.0) + facts.num_frames * pixels(facts)
        if key not in longest or facts.num_frames > longest[key].facts.num_frames:
            longest[key] = video
    keys = sorted(weights, key=lambda key: (-weights[key], key))
    return [longest[key] for key in keys[:MAX_SAMPLES]]


def pixels(facts: VideoFacts) -> int:
    """Return the size of a frame in pixels."""
    return facts.width * facts.height


def makespan(seconds: Sequence[float], num_workers: int) -> float:
    """Return how long workers take that share out jobs, longest first.

    Example:
        >>> makespan([3.0, 2.0, 2.0, 1.0], 2)
        4.0
    """
    loads = [0.0] * num_workers
    for job in sorted(seconds, reverse=True):
        loads[loads.index(min(loads))] += job
    return max(loads)


@dataclass(frozen=True, slots=True)
class _Measured:
    total: float
    rate: Rate | None


class _Round:
    """Sends samples through a pool of children."""

    def __init__(self, pool: ChildPool, cut: CutSettings, scratch: Path) -> None:
        self._pool = pool
        self._cut = cut
        self._scratch = scratch

    def run(self, samples: Sequence[_Sample], seconds: Fraction) -> tuple[float, list[_Measured]]:
        """Cut so many seconds of each sample; return the wall time and what each sample cost."""
        started_at = time.monotonic()
        by_job = {uuid.uuid4().hex: sample for sample in samples}
        waiting = [self._job(job_id, sample, seconds) for job_id, sample in by_job.items()]
        reports: dict[str, ClipReport] = {}
        measured: list[_Measured] = []
        while len(measured) < len(samples):
            while waiting and self._pool.capacity:
                self._pool.submit(waiting.pop(0))
            for report in self._pool.reports(block=True):
                if isinstance(report, ClipReport):
                    reports[report.job_id] = report
                    discard(self._pool.scratch, report.clip_id)
                elif isinstance(report, JobDone):
                    sample = by_job[report.job_id]
                    measured.append(_measured(sample, report, reports.get(report.job_id)))
        return time.monotonic() - started_at, measured

    def _job(self, job_id: str, sample: _Sample, seconds: Fraction) -> CutJob:
        return CutJob(
            job_id=job_id,
            source=str(sample.path),
            facts=sample.facts,
            index_path=str(self._scratch / f"{job_id}.npz"),
            clips=(JobClip(clip_id=job_id, start=Fraction(0), end=seconds),),
            encode=self._cut.encode,
            look=self._cut.look,
            form=self._cut.form,
        )


def _measured(sample: _Sample, done: JobDone, report: ClipReport | None) -> _Measured:
    total = sum(done.seconds.values())
    if report is None or report.file is None or not report.file.num_frames:
        return _Measured(total, None)
    look = done.seconds.get("look", 0.0)
    frames = report.file.num_frames
    seconds = frames / report.file.framerate
    if report.file.repeated_dropped is not None:
        # Costs are told per frame of the source, which is what a video's are counted in.
        repeated, dropped = report.file.repeated_dropped
        frames += dropped - repeated
    rate = Rate(
        codec=sample.facts.codec,
        pixels=pixels(sample.facts),
        cut_seconds_per_frame=(total - look) / frames,
        look_seconds_per_frame=look / frames,
        bytes_per_second=report.file.num_bytes / seconds,
    )
    return _Measured(total, rate)


def _take_sample(video: ProbedVideo, path: Path, prober: Prober) -> _Sample | None:
    """Copy a stretch from the middle of a video; a small local file serves as it is instead."""
    uri = video.video.uri
    try:
        facts = prober.copy_stretch(video.video, video.facts, path)
    except MediaError:
        if not scheme_of(uri) and video.video.num_bytes <= SMALL_FILE_BYTES:
            return _Sample(Path(uri), video.facts)
        return None
    # The stretch does not know the bit rate of the whole, which the encoder may be told.
    return _Sample(path, replace(facts, bit_rate_kbit=video.facts.bit_rate_kbit))
