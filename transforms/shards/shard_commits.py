"""The commits of a dataset's shards: a shard is finished when its tars have the sizes that its
commit states."""

from __future__ import annotations

from typing import Any

from transforms.json_files import read_json_if_there
from transforms.shards.damaged_file import damaged_file
from transforms.shards.layout import TAR_KINDS, ShardName, commit_uri, tar_uri
from transforms.shards.options import DatasetRun
from transforms.storage.interface import NotFoundError
from transforms.storage.open_storage import storage_for


def read_commit(run: DatasetRun, generation: int, shard: ShardName) -> dict[str, Any] | None:
    """Return a shard's commit, None when it was not written.

    Raises:
        BadJsonError: The file is no commit.
    """
    uri = commit_uri(run, generation, shard)
    commit = read_json_if_there(uri)
    if commit is None:
        return None
    try:
        sizes = [commit["tars"][kind]["num_bytes"] for kind in TAR_KINDS]
        is_commit = isinstance(commit["failed"], dict) and isinstance(commit["num_samples"], int)
    except (KeyError, TypeError) as error:
        raise damaged_file(uri, run) from error
    if not is_commit or not all(isinstance(size, int) for size in sizes):
        raise damaged_file(uri, run)
    return dict(commit)


def missing_tars(run: DatasetRun, shard: ShardName, commit: dict[str, Any]) -> list[str]:
    """Return the kinds of tars that are not there with the size their commit states."""
    return [
        kind
        for kind in TAR_KINDS
        if _size(tar_uri(run, shard, kind)) != commit["tars"][kind]["num_bytes"]
    ]


def is_finished(run: DatasetRun, generation: int, shard: ShardName) -> bool:
    """Return whether a shard is committed and its tars are there."""
    commit = read_commit(run, generation, shard)
    return commit is not None and not missing_tars(run, shard, commit)


def _size(uri: str) -> int | None:
    try:
        return storage_for(uri).stat(uri).num_bytes
    except NotFoundError:
        return None
