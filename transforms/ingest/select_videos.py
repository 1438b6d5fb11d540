"""Choose the videos of a run: an unfinished run's first, then new ones up to the limit."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import apache_beam as beam

from transforms.clips.selections import Selected
from transforms.clips.video_state import VideoState, read_states, reopen_failed
from transforms.clips.wave_file import read_wave
from transforms.ingest.kept_states import kept_states
from transforms.ingest.known_videos import Inputs, find_inputs, with_size
from transforms.ingest.list_videos import Listing, VideoInput
from transforms.json_files import write_json
from transforms.layout import current_run_uri
from transforms.progress import count
from transforms.records import Video
from transforms.run_context import SCHEMA_VERSION, RunContext

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Selection:
    """What a run will work on."""

    videos: tuple[Video, ...]
    """Still to be done, sorted by relative path."""
    whole: tuple[Selected, ...]
    """The whole selection, with what is finished of it already."""
    num_done: int
    """Inputs that need nothing more."""
    num_waiting: int
    """Inputs beyond ``limit``, or failed before."""
    listing: Listing
    states: dict[str, VideoState]
    """Of all inputs, by relative path."""


def select_videos(
    config: VideoInput, context: RunContext, known: dict[str, VideoState] | None = None
) -> Selection:
    """Return the run's selection without changing anything.

    The videos of an unfinished run come first and count against ``limit``; of the others those
    that are neither done nor failed are added up to it. A video whose file is gone is selected as
    others are: what needs the file fails by name, a stage that needs only the clips does not.

    Args:
        config: Where the inputs are.
        context: The run.
        known: States that this run has read already, by relative path.

    Raises:
        UsageError, NotFoundError, StorageError: As ``find_inputs``.
    """
    inputs = find_inputs(config, context.root)
    known = known or {}
    unknown = [video for video in inputs.videos if video.rel not in known]
    states = {**known, **read_states(context, unknown)} if unknown else known
    selected, fresh = _begun_and_fresh(config, context, inputs, states)
    videos = [video for video in selected if _is_open(states[video.rel], context)] + fresh
    num_done = sum(state is VideoState.DONE for state in states.values())
    return Selection(
        videos=tuple(
            video if video.num_bytes else with_size(video)
            for video in sorted(videos, key=lambda video: video.rel)
        ),
        whole=tuple(
            sorted(Selected(video.rel, video.source_id, video.uri) for video in selected + fresh)
        ),
        num_done=num_done,
        num_waiting=len(inputs.videos) - num_done - len(videos),
        listing=inputs.listing,
        states=states,
    )


def _begun_and_fresh(
    config: VideoInput, context: RunContext, inputs: Inputs, states: dict[str, VideoState]
) -> tuple[list[Video], list[Video]]:
    """Return an unfinished run's videos, done or not, and the open ones that are added to them."""
    begun = [video for video in inputs.videos if video.rel in inputs.begun]
    fresh = [
        video
        for video in inputs.videos
        if video.rel not in inputs.begun and _is_open(states[video.rel], context)
    ]
    return begun, fresh[: max(0, config.limit - len(begun))] if config.limit else fresh


def _is_open(state: VideoState, context: RunContext) -> bool:
    return state is VideoState.OPEN or (context.retry_failed and state is VideoState.FAILED)


def begin_selection(config: VideoInput, context: RunContext) -> Iterator[Video]:
    """Store the run's selection in ``runs/current.json`` and emit the videos to work on.

    Emits nothing and stores nothing when everything is done, unless an unfinished run waits for
    its end.
    """
    selection = select_videos(config, context, kept_states(context))
    _report_problems(selection.listing, context)
    if not selection.whole:
        return
    if context.retry_failed:
        for video in selection.videos:
            reopen_failed(context, video)
    write_json(current_run_uri(context.root), _content(selection, context))
    count(context.progress_folder, videos_selected=len(selection.videos))
    yield from selection.videos


def _content(selection: Selection, context: RunContext) -> dict[str, Any]:
    found = {video.uri for video in selection.listing.videos}
    num_gone = sum(video.uri not in found for video in selection.whole)
    return {
        "schema_version": SCHEMA_VERSION,
        "run_id": context.run_id,
        "videos": [list(video) for video in selection.whole],
        # What is selected was an input once, so the selection is never larger than this.
        "num_input_videos": len(found) + num_gone,
        "num_sidecars": selection.listing.num_sidecars,
        "problems": [list(problem) for problem in selection.listing.problems],
    }


def _report_problems(listing: Listing, context: RunContext) -> None:
    for uri, reason in listing.problems:
        _logger.warning("%s %s; it is left out", uri, reason)
    if listing.num_sidecars:
        _logger.info("%d files are no videos by their names: left out", listing.num_sidecars)


@dataclass
class ListVideos(beam.PTransform[Any, Any]):
    """Emit the videos of this run.

    Input: the pipeline's root. Output: one Video per selected input, sorted by relative path;
    what another run finished is left out. Stores ``runs/current.json`` before the first one.
    """

    config: VideoInput
    context: RunContext
    is_wave: bool = False
    """Whether the selection is stored already, as that of the wave in work, or empty."""

    def expand(self, root: Any) -> beam.PCollection[Video]:
        """Attach the listing to the pipeline's root."""
        if self.is_wave:
            emit = beam.FlatMap(lambda _, root: read_wave(root), self.context.root)
        else:
            emit = beam.FlatMap(
                lambda _, config, context: begin_selection(config, context),
                self.config,
                self.context,
            )
        return root | beam.Impulse() | emit.with_output_types(Video)
