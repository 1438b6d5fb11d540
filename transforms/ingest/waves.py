"""A long selection in waves: each a run with its own barrier, worked through before the next.

The inputs stream by in the order of their relative paths and are never held together; what stays
in memory is one wave, and what an output knows of earlier runs in compact form (see
``docs/scale.md`` for the bytes per video).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from transforms.clips.selections import Selected, selected_videos
from transforms.clips.summary import retire_summary
from transforms.clips.video_state import (
    StoredRecords,
    VideoState,
    reopen_failed,
    video_state,
)
from transforms.clips.wave_file import write_wave
from transforms.ingest.known_index import KnownIndex
from transforms.ingest.known_videos import unlisted, with_size
from transforms.ingest.list_videos import InputNotes, VideoInput, iter_videos
from transforms.json_files import read_json_if_there, write_json
from transforms.layout import current_run_uri
from transforms.progress import count
from transforms.records import Video
from transforms.run_context import SCHEMA_VERSION, RunContext
from transforms.scratch import scratch_here
from transforms.storage.ahead import read_ahead

BLOCK_SIZE = 256
"""Videos whose durations are asked for at once: enough for a few processes that probe."""
MAX_VIDEOS = 100_000
"""A wave ends with so many videos, however short they are: it is held in memory."""
MIN_BYTES_PER_SECOND = 1000
"""No input has fewer: a selection of fewer bytes than its wave's seconds times this is no long
one, and nobody need probe it to know."""

Durations = Callable[[Sequence[Video]], Iterable[float]]
"""Returns how long each video is, in seconds; 0 where nobody can say."""


@dataclass(frozen=True)
class InputCount:
    """What lies at the input, counted without being held."""

    num_videos: int
    num_bytes: int
    num_sidecars: int
    problems: tuple[tuple[str, str], ...]

    def is_long(self, wave_hours: float) -> bool:
        """Return whether these may be more than one wave; never when its hours are 0."""
        if wave_hours <= 0:
            return False
        too_many_bytes = wave_hours * 3600 * MIN_BYTES_PER_SECOND < self.num_bytes
        return too_many_bytes or self.num_videos > MAX_VIDEOS


def count_inputs(config: VideoInput, output: str = "") -> InputCount:
    """Return what lies at the input. Arguments and errors as of ``list_videos``."""
    notes = InputNotes()
    num_videos = num_bytes = 0
    for video in iter_videos(config, notes, output):
        num_videos += 1
        num_bytes += video.num_bytes
    return InputCount(num_videos, num_bytes, notes.num_sidecars, tuple(notes.problems))


@dataclass(frozen=True)
class Wave:
    """The selection of one wave."""

    videos: tuple[Video, ...]
    """Still to be done."""
    whole: tuple[Selected, ...]
    """The whole selection: what a run that was killed in this wave had finished of it, too."""


def iter_waves(
    config: VideoInput, context: RunContext, *, wave_hours: float, durations: Durations
) -> Iterator[Wave]:
    """Yield the waves of a run; what earlier runs finished is passed over.

    The selection is that of ``select_videos``: first what a run that did not end had selected, as
    one wave, whatever its hours; then what is neither done nor failed, up to ``limit``. A wave ends
    with the video that makes it ``wave_hours`` long, or with its 100,000th.

    Args:
        config: Where the inputs are.
        context: The run.
        wave_hours: Hours of video per wave, more than 0.
        durations: Tells how long videos are.

    Raises:
        UsageError, NotFoundError, StorageError: As ``select_videos``.
    """
    stream = _Stream(config, context)
    current = read_json_if_there(current_run_uri(context.root)) or {"videos": []}
    begun = {video.rel: video for video in selected_videos(current)}
    if begun:
        yield _begun_wave(stream, begun)
    fresh: Iterator[Video] = (video for video in stream.open_videos() if video.rel not in begun)
    if config.limit:
        fresh = islice(fresh, max(0, config.limit - len(begun)))
    yield from _filled(fresh, wave_hours * 3600, durations)


class _Stream:
    """The inputs of an output as they pass by, each with its state."""

    def __init__(self, config: VideoInput, context: RunContext) -> None:
        self._config = config
        self._context = context
        self._known = KnownIndex(context.root)
        self._stored = StoredRecords(context.root)
        self._open = {VideoState.OPEN}
        if context.retry_failed:
            self._open.add(VideoState.FAILED)

    def videos(self) -> Iterator[Video]:
        """Yield what is found under the names that it is known by, then what is gone."""
        seen: set[str] = set()
        for video in iter_videos(self._config, InputNotes(), self._context.root):
            known = self._known.under_known_name(video)
            if known.rel in self._known:
                seen.add(known.rel)
            yield known
        yield from self._known.others(seen, self._config)

    def open_videos(self) -> Iterator[Video]:
        """Yield those that something is left of."""
        checked = read_ahead(
            lambda video: (video, self.is_open(video)), self.videos(), self._context.root
        )
        return (video for video, is_open in checked if is_open)

    def is_open(self, video: Video) -> bool:
        """Return whether something is left to be done."""
        return video_state(self._context, video, self._stored) in self._open


def _begun_wave(stream: _Stream, begun: dict[str, Selected]) -> Wave:
    found = {video.rel: video for video in stream.videos() if video.rel in begun}
    videos = [found.get(rel) or unlisted(video) for rel, video in begun.items()]
    return _wave(
        [video for video in videos if stream.is_open(video)],
        [Selected(video.rel, video.source_id, video.uri) for video in videos],
    )


def _wave(videos: list[Video], whole: list[Selected]) -> Wave:
    sized = [video if video.num_bytes else with_size(video) for video in videos]
    return Wave(tuple(sorted(sized, key=lambda video: video.rel)), tuple(sorted(whole)))


def _filled(fresh: Iterator[Video], wave_seconds: float, durations: Durations) -> Iterator[Wave]:
    wave: list[Video] = []
    filled = 0.0
    while block := list(islice(fresh, BLOCK_SIZE)):
        for video, seconds in zip(block, durations(block), strict=True):
            wave.append(video)
            filled += seconds
            if filled >= wave_seconds or len(wave) >= MAX_VIDEOS:
                yield _whole_wave(wave)
                wave, filled = [], 0.0
    if wave:
        yield _whole_wave(wave)


def _whole_wave(videos: list[Video]) -> Wave:
    return _wave(videos, [Selected(video.rel, video.source_id, video.uri) for video in videos])


def begin_wave(wave: Wave, number: int, inputs: InputCount, context: RunContext) -> None:
    """Store a wave's selection as that of a run, and its videos for the workers.

    While waves are worked through there is no ``summary.json``: an old one would hide the new
    clips from ``shard``.

    Args:
        wave: Its videos.
        number: Counts from 1.
        inputs: For the run's record.
        context: The run.
    """
    retire_summary(context.root, scratch_here(context.scratch))
    if context.retry_failed:
        for video in wave.videos:
            reopen_failed(context, video)
    content = {
        "schema_version": SCHEMA_VERSION,
        # Each wave has its record in runs/, and is told apart by this.
        "run_id": f"{context.run_id}-{number}",
        "videos": [list(video) for video in wave.whole],
        "num_input_videos": max(inputs.num_videos, len(wave.whole)),
        "num_sidecars": inputs.num_sidecars,
        "problems": [list(problem) for problem in inputs.problems],
    }
    write_json(current_run_uri(context.root), content)
    write_wave(context.root, wave.videos)
    count(context.progress_folder, videos_selected=len(wave.videos), waves_begun=1)
