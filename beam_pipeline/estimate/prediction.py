"""What a run will make and take, before it starts; and afterwards, how near that was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from beam_pipeline.estimate.calibration import Calibration, Rate, makespan, pixels
from beam_pipeline.estimate.network_cost import NetworkCost
from beam_pipeline.progress_display import clock
from transforms.clips.chunking import Chunking
from transforms.clips.plan import chunk_ranges, run_ranges
from transforms.clips.plan_chunks import entry_keyframes
from transforms.errors import MediaError
from transforms.records import Span, SplitVideo
from transforms.storage.interface import StorageError


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a run is expected to make and take."""

    num_videos: int
    num_clips: int | None
    """None where shots are to be found first."""
    num_bytes: float | None
    """Of the clips, where shots are to be found first as if nothing were left out between them;
    None when no input could be measured."""
    seconds: float | None
    """Wall time; None when no input could be measured."""


@dataclass(frozen=True, slots=True)
class Actual:
    """What a run made and took; clips and bytes of this run alone."""

    num_videos: int
    num_clips: int
    num_bytes: float
    seconds: float


def predict(
    splits: Sequence[SplitVideo],
    *,
    calibration: Calibration,
    chunking: Chunking,
    may_pass_through: bool,
    fixed_seconds: float,
) -> Prediction:
    """Return what cutting these videos will make and take.

    Args:
        splits: The videos to cut, with all their spans.
        calibration: How fast this machine is.
        chunking: Decides which parts of a video are cut side by side.
        may_pass_through: Whether the encoder settings let whole clean files through.
        fixed_seconds: What a run takes whatever its inputs.
    """
    num_clips = sum(len(split.spans) for split in splits)
    if num_clips and not calibration.rates:
        return Prediction(len(splits), num_clips, None, None)
    jobs: list[float] = []
    num_bytes = 0.0
    for split in splits:
        rate = _nearest_rate(split, calibration) if split.spans else None
        if rate is None:
            continue
        passes = may_pass_through and _passes_through(split)
        num_bytes += (
            split.video.num_bytes
            if passes
            else rate.bytes_per_second * _seconds(split, split.spans)
        )
        jobs += [_run_cost(split, spans, rate, passes=passes) for spans in _runs(split, chunking)]
    busy = makespan(jobs, calibration.num_children) * calibration.slowdown if jobs else 0.0
    start = calibration.start_seconds if jobs else 0.0
    return Prediction(len(splits), num_clips, num_bytes, fixed_seconds + start + busy)


def with_detection(
    prediction: Prediction,
    splits: Sequence[SplitVideo],
    *,
    calibration: Calibration,
    network: NetworkCost | None,
    windows_per_segment: int,
) -> Prediction:
    """Return the prediction with what finding shots in these videos takes before they are cut.

    Args:
        prediction: Of the cutting, with clips of one length in the place of shots.
        splits: The videos in which shots are to be found.
        calibration: How fast this machine is.
        network: What TransNetV2 takes; None where it does not look at the frames.
        windows_per_segment: How videos are divided for it.
    """
    if not splits:
        return prediction
    unknown = replace(prediction, num_clips=None)
    if prediction.seconds is None or not calibration.rates:
        return unknown
    # Decoding to small frames takes about what looking at a clip does.
    busy = 0.0
    scoring = 0.0 if network is None else network.start_seconds
    for split in splits:
        rate = _nearest_rate(split, calibration)
        per_frame = rate.look_seconds_per_frame * pixels(split.facts) / rate.pixels
        busy += split.facts.num_frames * per_frame
        if network is not None:
            scoring += network.seconds(split.facts, windows_per_segment=windows_per_segment)
    decoding = busy * calibration.slowdown / calibration.num_children
    return replace(unknown, seconds=prediction.seconds + decoding + scoring)


def predicted_vs_actual(prediction: Prediction, actual: Actual) -> list[str]:
    """Return a table of what was expected and what came, one line for each row.

    Example:
        >>> made = Actual(num_videos=2, num_clips=8, num_bytes=4e6, seconds=66.0)
        >>> for line in predicted_vs_actual(Prediction(2, 8, 5e6, 60.0), made):
        ...     print(line)
                    predicted     actual
        videos              2          2
        clips               8          8
        clip data        5 MB       4 MB
        time          0:01:00    0:01:06
    """
    rows = [
        ("", "predicted", "actual"),
        ("videos", str(prediction.num_videos), str(actual.num_videos)),
        ("clips", count_text(prediction.num_clips), str(actual.num_clips)),
        ("clip data", size_text(prediction.num_bytes), size_text(actual.num_bytes)),
        ("time", time_text(prediction.seconds), time_text(actual.seconds)),
    ]
    return [f"{name:<10}{expected:>11}{came:>11}".rstrip() for name, expected, came in rows]


def size_text(num_bytes: float | None) -> str:
    """Return bytes in the unit that fits.

    Example:
        >>> size_text(1_534_000), size_text(2.5e9), size_text(None)
        ('1.53 MB', '2.5 GB', 'unknown')
    """
    if num_bytes is None:
        return "unknown"
    for unit, scale in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if num_bytes >= scale:
            return f"{num_bytes / scale:.3g} {unit}"
    return f"{num_bytes / 1e3:.3g} kB"


def count_text(number: int | None) -> str:
    """Return a number, or ``unknown``."""
    return "unknown" if number is None else str(number)


def time_text(seconds: float | None) -> str:
    """Return hours, minutes and seconds, or ``unknown``."""
    return "unknown" if seconds is None else clock(seconds)


def _nearest_rate(split: SplitVideo, calibration: Calibration) -> Rate:
    size = pixels(split.facts)
    return min(
        calibration.rates,
        key=lambda rate: (abs(rate.pixels - size) / size, rate.codec != split.facts.codec),
    )


def _run_cost(split: SplitVideo, spans: Sequence[Span], rate: Rate, *, passes: bool) -> float:
    per_frame = rate.look_seconds_per_frame
    if not passes:
        per_frame += rate.cut_seconds_per_frame
    frames = _seconds(split, spans) * float(split.facts.average_rate)
    return frames * per_frame * pixels(split.facts) / rate.pixels


def _seconds(split: SplitVideo, spans: Sequence[Span]) -> float:
    ends = [split.facts.duration_seconds if span.end is None else float(span.end) for span in spans]
    return sum(max(0.0, end - float(span.start)) for span, end in zip(spans, ends, strict=True))


def _passes_through(split: SplitVideo) -> bool:
    # The run looks at the packets as well; this is what the container says without reading them.
    facts, spans = split.facts, split.spans
    return (
        len(spans) == 1
        and spans[0].start == 0
        and spans[0].end is None
        and facts.codec == "h264"
        and facts.container == "mp4"
        and facts.pixel_format == "yuv420p"
        and facts.rotation_degrees == 0
    )


def _runs(split: SplitVideo, chunking: Chunking) -> list[tuple[Span, ...]]:
    durations = [span.end_seconds - span.start_seconds for span in split.spans]
    chunks = chunk_ranges(durations, chunking.clip_re_chunk_size)
    try:
        entries = entry_keyframes(split, chunks)
    except (MediaError, StorageError):
        # The run will say so; here the video counts as one piece.
        entries = [0] * len(chunks)
    return [
        split.spans[chunks[first][0] : chunks[end - 1][1]] for first, end in run_ranges(entries)
    ]
