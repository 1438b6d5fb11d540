"""Remove what a killed run was just writing."""

from __future__ import annotations

from transforms.layout import ANNOTATIONS, METAS, OUTPUT_FOLDERS
from transforms.storage.open_storage import storage_for
from transforms.storage.uris import join


def sweep_temporaries(lease_uri: str) -> int:
    """Remove the temporaries below everything that a lease is for; return how many there were.

    Nobody else may be writing there: the caller holds the lease. Only folders of this program are
    looked into, and of those only the ones that the lease covers: another version of a dataset, or
    of an output's annotations, has a lease of its own.
    """
    storage = storage_for(lease_uri)
    root, _, rest = lease_uri.rpartition("/.work/")
    version = rest.rpartition("/")[0]
    if not version:
        number = storage.sweep(root, deep=False)
        return number + sum(storage.sweep(join(root, folder)) for folder in OUTPUT_FOLDERS)
    folders = [version, f".work/{version}", f".work/staging/{version}"]
    folders += [join(METAS, version), join(ANNOTATIONS, version)]
    return sum(storage.sweep(join(root, folder)) for folder in folders)
