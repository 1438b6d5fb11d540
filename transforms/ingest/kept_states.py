"""The states of the inputs, kept in the run's scratch folder for whoever asks next.

The driver looks at the inputs for its prediction, a worker for the selection. Where both have the
same scratch folder, the records of finished chunks are read once for both.
"""

from __future__ import annotations

from transforms.clips.video_state import VideoState
from transforms.json_files import read_json_if_there, write_json
from transforms.run_context import RunContext
from transforms.storage.uris import join


def keep_states(context: RunContext, states: dict[str, VideoState]) -> None:
    """Keep the state of each video, by its relative path."""
    write_json(_path(context), {rel: state.value for rel, state in states.items()})


def kept_states(context: RunContext) -> dict[str, VideoState]:
    """Return the states that this run kept, none when it kept none here."""
    content = read_json_if_there(_path(context)) or {}
    return {rel: VideoState(value) for rel, value in content.items()}


def _path(context: RunContext) -> str:
    return join(context.scratch, "states.json")
