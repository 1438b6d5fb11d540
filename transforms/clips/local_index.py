"""Where children keep a video's packet index: a local file, as they write it with numpy."""

from __future__ import annotations

from transforms.layout import packet_index_uri
from transforms.run_context import RunContext
from transforms.storage.uris import join, scheme_of


def local_index_path(context: RunContext, video_uuid: str) -> str:
    """Return the path of the index: in the output, or in scratch where the output is in a store.

    All workers on one machine share it. In a store it would be no cheaper to read than to make:
    whoever needs it has the source at hand.
    """
    uri = packet_index_uri(context.root, video_uuid)
    return join(context.scratch, "index", f"{video_uuid}.npz") if scheme_of(uri) else uri
