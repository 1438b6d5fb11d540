"""Remove what an earlier run wrote to an output: commits first, then data."""

from __future__ import annotations

import re

from transforms.layout import OUTPUT_FOLDERS, lease_uri, summary_uri
from transforms.storage.open_storage import storage_for
from transforms.storage.uris import join, relative

_NUMBERED = re.compile(r"(summary\.json\.bak|performance_stats_)\d+(\.json)?")


def remove_output(root: str) -> None:
    """Remove everything this program writes below ``root``; other files stay, and the lease."""
    storage = storage_for(root)
    storage.delete(summary_uri(root))
    for folder in OUTPUT_FOLDERS:
        for stat in list(storage.list(join(root, folder))):
            if stat.uri != lease_uri(root):
                storage.delete(stat.uri)
    for stat in list(storage.list(root)):
        if _NUMBERED.fullmatch(relative(stat.uri, root)):
            storage.delete(stat.uri)
