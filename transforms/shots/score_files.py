"""Score files: what was found out about the frames of one segment, ``.work/shots/...npz``."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from transforms.errors import MediaError
from transforms.storage.open_storage import storage_for

ScoreArrays = Mapping[str, NDArray[np.float32]]
"""One array per kind of score, ``(T,)``: ``one_hot`` and ``many_hot`` of TransNetV2, ``change``,
and the others of ``FrameChanges``."""


def save_scores(uri: str, scores: ScoreArrays) -> None:
    """Store the scores; what is there stands."""
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **dict(scores))
    storage_for(uri).create_if_absent(uri, file.getvalue())


def load_scores(uri: str) -> dict[str, NDArray[np.float32]]:
    """Return what ``save_scores`` stored.

    Raises:
        MediaError: ``unreadable``: the file is not whole.
        StorageError: There is no such file.
    """
    try:
        with np.load(io.BytesIO(storage_for(uri).read(uri)), allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise MediaError(
            "unreadable", f"{uri}: is no whole file of scores ({error}); remove it and run again"
        ) from error
