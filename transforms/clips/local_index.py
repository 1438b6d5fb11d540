"""Where a video's packet index lies for children, which read and write local files alone.

With a local output that is the output itself. With an output in a store it is a file in scratch:
fetched from the store when another worker has put it there, and put there once it is made.
"""

from __future__ import annotations

import uuid
from pathlib import Path

from transforms.layout import packet_index_uri
from transforms.run_context import RunContext
from transforms.scratch import scratch_here
from transforms.storage.interface import NotFoundError
from transforms.storage.local import TEMPORARY_PREFIX
from transforms.storage.open_storage import storage_for
from transforms.storage.uris import scheme_of


def local_index(context: RunContext, video_uuid: str) -> str:
    """Return the local path of the index; its folder is there, the index where it was made before.

    Raises:
        StorageError: The store cannot be read.
    """
    uri = packet_index_uri(context.root, video_uuid)
    path = Path(_local_path(context, video_uuid))
    path.parent.mkdir(parents=True, exist_ok=True)
    if scheme_of(uri) and not path.exists():
        try:
            content = storage_for(uri).read(uri)
        except NotFoundError:
            return str(path)
        # It appears whole: other workers on this machine look at the same path.
        temporary = path.with_name(f"{TEMPORARY_PREFIX}{uuid.uuid4().hex}")
        temporary.write_bytes(content)
        temporary.replace(path)
    return str(path)


def share_index(context: RunContext, video_uuid: str) -> None:
    """Put an index that was made here where workers on other machines find it.

    Raises:
        StorageError: The store cannot be written to.
    """
    uri = packet_index_uri(context.root, video_uuid)
    if scheme_of(uri):
        storage_for(uri).write(uri, Path(_local_path(context, video_uuid)))


def _local_path(context: RunContext, video_uuid: str) -> str:
    uri = packet_index_uri(context.root, video_uuid)
    if not scheme_of(uri):
        return uri
    return str(scratch_here(context.scratch) / "index" / f"{video_uuid}.npz")
