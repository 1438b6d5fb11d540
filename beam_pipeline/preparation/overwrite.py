"""Remove what an earlier run wrote to an output: commits first, then data."""

from __future__ import annotations

from collections.abc import Iterator

from transforms.formats.catalogue import FILE_KINDS
from transforms.layout import ANNOTATIONS, METAS, OUTPUT_FOLDERS, WORK, lease_uri, summary_uri
from transforms.recaption.list_clips import summary_uri as annotation_summary_uri
from transforms.storage.open_storage import storage_for
from transforms.storage.uris import join, relative


def remove_output(root: str) -> None:
    """Remove everything this program writes below ``root``; other files stay, and the lease."""
    storage = storage_for(root)
    storage.delete(summary_uri(root))
    for folder in (*OUTPUT_FOLDERS, ""):
        storage.delete_many(uri for uri in list(_ours(root, folder)) if uri != lease_uri(root))


def _ours(root: str, folder: str) -> Iterator[str]:
    """Yield every file below a folder of the root that this program writes; "" is the root."""
    kinds = [kind for kind in FILE_KINDS if kind.place == "output" and kind.path.startswith(folder)]
    for stat in storage_for(root).list(join(root, folder) if folder else root):
        path = relative(stat.uri, root)
        if folder == WORK or any(kind.matches(path) for kind in kinds):
            yield stat.uri


def remove_annotations(root: str, version: str) -> None:
    """Remove everything ``recaption`` wrote of a version: commits first, the lease stays."""
    storage = storage_for(root)
    storage.delete(annotation_summary_uri(root, version))
    for folder in (join(METAS, version), join(ANNOTATIONS, version), version):
        kinds = [kind for kind in FILE_KINDS if kind.place == "output"]
        storage.delete_many(
            stat.uri
            for stat in list(storage.list(join(root, folder)))
            if any(kind.matches(relative(stat.uri, root)) for kind in kinds)
        )
