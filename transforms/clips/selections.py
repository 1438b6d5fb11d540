"""Which videos were ever selected into an output."""

from __future__ import annotations

from transforms.clips.layout import RUNS, options_uri
from transforms.json_files import read_json
from transforms.storage.open_storage import storage_for
from transforms.storage.uris import join


def all_source_ids(root: str) -> list[tuple[str, str]]:
    """Return (relative path, source id) of every video of every run, finished or not, sorted."""
    pairs: set[tuple[str, str]] = set()
    for stat in storage_for(root).list(join(root, RUNS)):
        if stat.uri != options_uri(root):
            pairs.update((rel, source_id) for rel, source_id in read_json(stat.uri)["source_ids"])
    return sorted(pairs)
