"""The inputs of an output: what is there now, and what earlier runs took in and is gone since."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from transforms.clips.selections import Selected, all_selected_videos, selected_videos
from transforms.errors import UsageError
from transforms.ingest.list_videos import Listing, VideoInput, list_videos
from transforms.json_files import read_json_if_there
from transforms.layout import current_run_uri
from transforms.records import Video
from transforms.storage.interface import NotFoundError
from transforms.storage.open_storage import storage_for
from transforms.storage.uris import absolute, is_inside


@dataclass(frozen=True)
class Inputs:
    """What a run may select from."""

    listing: Listing
    """As it was found; ``videos`` may call the same files by their earlier names."""
    videos: tuple[Video, ...]
    """What is there and what is known although it was not found, sorted by relative path."""
    begun: frozenset[str]
    """Relative paths of the videos of a run that did not end."""


def find_inputs(config: VideoInput, root: str) -> Inputs:
    """Return the inputs of the output at ``root``; changes nothing.

    Beside what is found these belong to it: every video of a run that did not end, and every video
    that an earlier run found below the same input path, unless a list says which videos are meant.
    People delete raw videos when their clips are made, and a stage turned on later needs only
    the clips.

    Raises:
        UsageError: No input is given, a listed path lies outside it, or another video was taken
            into this output under the same relative path.
        NotFoundError: A listed file is not there.
        StorageError: Input or output cannot be read.
    """
    listing = list_videos(config, root)
    known = all_selected_videos(root)
    current = read_json_if_there(current_run_uri(root)) or {"videos": []}
    begun = frozenset(video.rel for video in selected_videos(current))
    found = _under_known_names(listing.videos, known, root)
    names = {video.rel for video in found}
    lost = [
        unlisted(video)
        for video in known
        if video.rel not in names and (video.rel in begun or belongs(video, config))
    ]
    videos = tuple(sorted([*found, *lost], key=lambda video: video.rel))
    return Inputs(listing, videos, begun)


def has_known_videos(config: VideoInput, root: str) -> bool:
    """Return whether runs into ``root`` took in videos of this input, be they there or not."""
    return any(belongs(video, config) for video in all_selected_videos(root))


def belongs(video: Selected, config: VideoInput) -> bool:
    """Return whether a video that is gone still belongs to this input: no list says otherwise."""
    if config.input_video_list_json_path or not config.input_video_path:
        return False
    return is_inside(video.uri, absolute(config.input_video_path))


def _under_known_names(
    videos: Sequence[Video], known: Sequence[Selected], root: str
) -> list[Video]:
    """Return the videos, each under the relative path that its records have.

    A video has another relative path when the input is a folder above or below the earlier one.
    """
    names = {video.video_uuid: video.rel for video in known}
    sources = {video.rel: video for video in known}
    renamed = []
    for video in videos:
        rel = names.get(video.video_uuid, video.rel)
        other = sources.get(rel)
        if other is not None and other.video_uuid != video.video_uuid:
            raise name_taken(video, other.uri, rel, root)
        renamed.append(dataclasses.replace(video, rel=rel))
    return renamed


def name_taken(video: Video, other_uri: str, rel: str, root: str) -> UsageError:
    """Return the error for a video whose relative path another one has in this output."""
    return UsageError(
        f"{video.uri}: {root} holds records of {other_uri} under the same relative path "
        f"{rel}; use a new output_clip_path, or, where the data was moved, "
        "give --id_root as the place where it lay"
    )


def unlisted(video: Selected) -> Video:
    """Return a video that an earlier run selected and no listing shows."""
    return Video(uri=video.uri, rel=video.rel, source_id=video.source_id, num_bytes=0)


def with_size(video: Video) -> Video:
    """Return the video with the size of its file, 0 when it is gone."""
    try:
        num_bytes = storage_for(video.uri).stat(video.uri).num_bytes
    except NotFoundError:
        num_bytes = 0
    return dataclasses.replace(video, num_bytes=num_bytes)
