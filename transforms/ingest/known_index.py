"""Which videos earlier runs took in, in the few hundred bytes each that a long selection allows."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Iterator

from transforms.clips.selections import iter_selected_videos
from transforms.ingest.known_videos import belongs, name_taken, unlisted
from transforms.ingest.list_videos import VideoInput
from transforms.records import Video


class KnownIndex:
    """Ids and relative paths of the videos of all runs into an output, unfinished ones too."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._ids: dict[str, bytes] = {}
        for video in iter_selected_videos(root):
            self._ids[video.rel] = _packed(video.video_uuid)
        self._rels = {identity: rel for rel, identity in self._ids.items()}

    def __contains__(self, rel: str) -> bool:
        """Return whether a run selected a video under this relative path."""
        return rel in self._ids

    def under_known_name(self, video: Video) -> Video:
        """Return a video under the relative path that its records have.

        Raises:
            UsageError: Another video was taken in under that path.
        """
        identity = _packed(video.video_uuid)
        rel = self._rels.get(identity, video.rel)
        if self._ids.get(rel, identity) != identity:
            others = (one.uri for one in iter_selected_videos(self._root) if one.rel == rel)
            raise name_taken(video, next(others, rel), rel, self._root)
        return video if rel == video.rel else dataclasses.replace(video, rel=rel)

    def others(self, seen: set[str], config: VideoInput) -> Iterator[Video]:
        """Yield the videos of this input that are not in ``seen``, and add them to it."""
        if len(seen) == len(self._ids):
            return
        for video in iter_selected_videos(self._root):
            if video.rel not in seen and belongs(video, config):
                seen.add(video.rel)
                yield unlisted(video)


def _packed(identity: str) -> bytes:
    return uuid.UUID(identity).bytes
