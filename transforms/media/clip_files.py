"""Where the files of a clip lie in a worker's scratch folder, and how many bytes they take.

Layout: ``{scratch}/clips/{clip_id}/{clip_id}.mp4``; ``previews/``, ``windows/``, ``frames/`` and
the embedding beside it. A scratch folder belongs to one pool of children; two pools that cut the
same clip never meet.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def clip_folder(scratch: Path, clip_id: str) -> Path:
    """Return the folder that holds everything of one clip."""
    return scratch / "clips" / clip_id


def clip_path(scratch: Path, clip_id: str) -> Path:
    """Return where the clip's finished mp4 lies; it is there whole or not at all."""
    return clip_folder(scratch, clip_id) / f"{clip_id}.mp4"


def preview_folder(scratch: Path, clip_id: str) -> Path:
    """Return the folder of the clip's preview pictures."""
    return clip_folder(scratch, clip_id) / "previews"


def windows_folder(scratch: Path, clip_id: str) -> Path:
    """Return the folder of the clip's caption windows as mp4 files of their own."""
    return clip_folder(scratch, clip_id) / "windows"


def frames_folder(scratch: Path, clip_id: str) -> Path:
    """Return the folder of the clip's frames that models are to see."""
    return clip_folder(scratch, clip_id) / "frames"


def embedding_frames(folder: Path) -> Path:
    """Return the file of the frames that a model embeds: uint8 RGB, shape (n, height, width, 3).

    Args:
        folder: As ``frames_folder`` gives it.
    """
    return folder / "embedding.npy"


def embedding_path(scratch: Path, clip_id: str) -> Path:
    """Return where the clip's embedding lies, in the form in which it is stored."""
    return clip_folder(scratch, clip_id) / "embedding.pickle"


def cutting_folder(scratch: Path, job_id: str) -> Path:
    """Return where a job's unfinished clips lie; it goes when the job or its child ends."""
    return scratch / "cutting" / job_id


def discard(scratch: Path, clip_id: str) -> None:
    """Remove everything of the clip; nothing happens if there is nothing."""
    folder = clip_folder(scratch, clip_id)
    if folder.exists():
        shutil.rmtree(folder)


def used_bytes(scratch: Path) -> int:
    """Return the sizes of all files below the scratch folder, in bytes; 0 if it does not exist.

    Files and folders that vanish meanwhile count as gone.
    """
    total = 0
    # os.walk passes over folders that cannot be listed any more.
    for folder, _, names in os.walk(scratch):
        for name in names:
            total += _size(Path(folder, name))
    return total


def has_room(scratch: Path, *, budget_bytes: int | None) -> bool:
    """Return whether another run may be started; None for the budget means no limit.

    The budget only delays starting a run. A clip that is being made is always finished and handed
    on: what waits for it may be what frees the room.
    """
    return budget_bytes is None or used_bytes(scratch) < budget_bytes


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except FileNotFoundError:
        return 0
